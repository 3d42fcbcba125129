#pragma once
/// Activations over a vector V of simd_*.h: one body for every user, so that fused and separate
/// activations agree bit for bit.
#include "kernels/activation_kind.h"
#include "kernels/cpu/math_inl.h"

namespace chiasm::kernels::cpu {
namespace {

template <class V>
inline V activation(Activation act, V x) {
  switch (act) {
    case Activation::none:
      return x;
    case Activation::relu:  // max gives its second argument for NaN
      return max(V::zero(), x);
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::gelu:
      return x * normal_cdf(x);
    case Activation::gelu_tanh: {
      // (1 + tanh(y)) / 2 = sigmoid(2 y), which does not cancel for y < 0; 2 sqrt(2/pi) = 1.5957...
      const V inner = fma(V::set(0.044715f) * (x * x), x, x);
      return x * sigmoid(V::set(1.5957691216057308f) * inner);
    }
    case Activation::quick_gelu:
      return x * sigmoid(V::set(1.702f) * x);
    case Activation::tanh:
      return tanh(x);
  }
  return x;
}

}  // namespace
}  // namespace chiasm::kernels::cpu
