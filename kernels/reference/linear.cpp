#include "kernels/reference/linear.h"

#include <vector>

#include "kernels/reference/rows.h"

namespace chiasm::kernels::reference {

void linear(TensorView<const float> x, const Matrix& w, const Epilogue& epilogue,
            TensorView<float> y) {
  std::vector<float> weights(std::size_t(w.in()));
  std::vector<double> products(std::size_t(x.rows()));
  const auto multiply = [&](std::int64_t o) {  // all rows by one output
    w.row(o, weights.data());
    for (std::int64_t r = 0; r < x.rows(); r++) {
      double sum = 0;
      for (std::int64_t k = 0; k < w.in(); k++) {
        sum += double(x.row(r)[k]) * double(weights[std::size_t(k)]);
      }
      if (epilogue.bias != nullptr) sum += double(epilogue.bias[o]);
      products[std::size_t(r)] = sum;
    }
  };
  for (std::int64_t o = 0; o < y.cols(); o++) {
    multiply(o);
    std::vector<double> gates(products.size(), 1);
    if (epilogue.gated) {
      for (std::size_t r = 0; r < gates.size(); r++) {
        gates[r] = activation(epilogue.activation, products[r]);
      }
      multiply(y.cols() + o);
    }
    for (std::int64_t r = 0; r < x.rows(); r++) {
      const double sum = products[std::size_t(r)];
      float& out = y.row(r)[o];
      const double value =
          epilogue.gated ? gates[std::size_t(r)] * sum : activation(epilogue.activation, sum);
      out = float(epilogue.accumulate ? double(out) + value : value);
    }
  }
}

}  // namespace chiasm::kernels::reference
