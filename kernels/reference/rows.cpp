#include "kernels/reference/rows.h"

#include <cmath>
#include <numbers>
#include <vector>

namespace chiasm::kernels::reference {

double activation(Activation act, double x) {
  switch (act) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:  // erfc, not 1 + erf, which cancels for x < 0
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::gelu_tanh: {  // (1 + tanh(y)) / 2 = 1 / (1 + exp(-2 y))
      const double y = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return x / (1 + std::exp(-2 * y));
    }
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::tanh:
      return std::tanh(x);
  }
  return x;
}

void activate(Activation act, TensorView<float> x) {
  for (std::int64_t r = 0; r < x.rows(); r++) {
    for (std::int64_t i = 0; i < x.cols(); i++) {
      x.row(r)[i] = float(activation(act, double(x.row(r)[i])));
    }
  }
}

void gated_activation(Activation act, TensorView<const float> gate_up, TensorView<float> y) {
  const std::int64_t n = y.cols();
  for (std::int64_t r = 0; r < y.rows(); r++) {
    const float* gate = gate_up.row(r);
    for (std::int64_t i = 0; i < n; i++) {
      y.row(r)[i] = float(activation(act, double(gate[i])) * double(gate[n + i]));
    }
  }
}

void layer_norm(TensorView<const float> x, TensorView<const float> weight,
                TensorView<const float> bias, float eps, TensorView<float> y) {
  const std::int64_t dim = x.cols();
  for (std::int64_t r = 0; r < x.rows(); r++) {
    double mean = 0, variance = 0;
    for (std::int64_t i = 0; i < dim; i++) mean += double(x.row(r)[i]) / double(dim);
    for (std::int64_t i = 0; i < dim; i++) {
      variance += std::pow(double(x.row(r)[i]) - mean, 2) / double(dim);
    }
    const double deviation = std::sqrt(variance + double(eps));
    for (std::int64_t i = 0; i < dim; i++) {
      const double normal = (double(x.row(r)[i]) - mean) / deviation;
      y.row(r)[i] = float(normal * double(weight.data()[i]) + double(bias.data()[i]));
    }
  }
}

void rms_norm(TensorView<const float> x, TensorView<const float> weight, float eps,
              TensorView<float> y) {
  const std::int64_t dim = x.cols();
  for (std::int64_t r = 0; r < x.rows(); r++) {
    double square = 0;
    for (std::int64_t i = 0; i < dim; i++) square += std::pow(double(x.row(r)[i]), 2) / double(dim);
    const double deviation = std::sqrt(square + double(eps));
    for (std::int64_t i = 0; i < dim; i++) {
      y.row(r)[i] = float(double(x.row(r)[i]) / deviation * double(weight.data()[i]));
    }
  }
}

void rotate_half(TensorView<float> x, std::int64_t heads, std::int64_t head_dim,
                 TensorView<const float> cosine, TensorView<const float> sine) {
  const std::int64_t half = cosine.cols();
  for (std::int64_t r = 0; r < x.rows(); r++) {
    for (std::int64_t h = 0; h < heads; h++) {
      float* head = x.row(r) + h * head_dim;
      for (std::int64_t i = 0; i < half; i++) {
        const double c = double(cosine.row(r)[i]), s = double(sine.row(r)[i]);
        const double a = double(head[i]), b = double(head[i + half]);
        head[i] = float(a * c - b * s);
        head[i + half] = float(b * c + a * s);
      }
    }
  }
}

}  // namespace chiasm::kernels::reference
