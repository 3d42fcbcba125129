#include "kernels/reference/linear.h"

#include <vector>

#include "kernels/reference/rows.h"

namespace chiasm::kernels::reference {

void linear(TensorView<const float> x, const Matrix& w, const Epilogue& epilogue,
            TensorView<float> y) {
  std::vector<float> weights(std::size_t(w.in()));
  for (std::int64_t o = 0; o < w.out(); o++) {
    w.row(o, weights.data());
    for (std::int64_t r = 0; r < x.rows(); r++) {
      double sum = 0;
      for (std::int64_t k = 0; k < w.in(); k++) {
        sum += double(x.row(r)[k]) * double(weights[std::size_t(k)]);
      }
      if (epilogue.bias != nullptr) sum += double(epilogue.bias[o]);
      sum = activation(epilogue.activation, sum);
      float& out = y.row(r)[o];
      out = float(epilogue.accumulate ? double(out) + sum : sum);
    }
  }
}

}  // namespace chiasm::kernels::reference
