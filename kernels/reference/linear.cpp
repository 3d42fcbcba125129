#include "kernels/reference/linear.h"

#include <cmath>
#include <vector>

namespace chiasm::kernels::reference {

namespace {

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
  }
  return x;
}

}  // namespace

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
      sum = activate(epilogue.activation, sum);
      float& out = y.row(r)[o];
      out = float(epilogue.accumulate ? double(out) + sum : sum);
    }
  }
}

}  // namespace chiasm::kernels::reference
