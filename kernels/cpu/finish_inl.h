#pragma once
/// The epilogue of the matrix product over a vector V of simd_*.h.
#include "kernels/cpu/activation_inl.h"
#include "kernels/cpu/gemm.h"

namespace chiasm::kernels::cpu {
namespace {

template <class V>
inline V finish_lanes(const Finish& f, V sum, V scale, V bias, V old, Activation act) {
  if (f.scale != nullptr) sum = sum * scale;
  if (f.bias != nullptr) sum = sum + bias;
  sum = activation(act, sum);
  if (f.multiply) return old * sum;
  return f.accumulate ? old + sum : sum;
}

template <class V>
inline void finish_with(const Finish& f, Activation act) {
  for (int r = 0; r < f.rows; r++) {
    const float* src = f.src + r * kPanel;
    float* dst = f.dst + r * f.dst_stride;
    int j = 0;
    for (; j + V::kLanes <= f.cols; j += V::kLanes) {
      const V scale = f.scale != nullptr ? V::load(f.scale + j) : V::zero();
      const V bias = f.bias != nullptr ? V::load(f.bias + j) : V::zero();
      const V old = f.accumulate || f.multiply ? V::load(dst + j) : V::zero();
      finish_lanes(f, V::load(src + j), scale, bias, old, act).store(dst + j);
    }
    const int rest = f.cols - j;
    if (rest > 0) {
      const V scale = f.scale != nullptr ? V::load_first(f.scale + j, rest) : V::zero();
      const V bias = f.bias != nullptr ? V::load_first(f.bias + j, rest) : V::zero();
      const V old = f.accumulate || f.multiply ? V::load_first(dst + j, rest) : V::zero();
      finish_lanes(f, V::load_first(src + j, rest), scale, bias, old, act)
          .store_first(dst + j, rest);
    }
  }
}

// One copy of the loop for each activation: the choice is made once a tile.
template <class V>
void finish(const Finish& f) {
  switch (f.activation) {
    case Activation::none:
      return finish_with<V>(f, Activation::none);
    case Activation::relu:
      return finish_with<V>(f, Activation::relu);
    case Activation::silu:
      return finish_with<V>(f, Activation::silu);
    case Activation::gelu:
      return finish_with<V>(f, Activation::gelu);
    case Activation::gelu_tanh:
      return finish_with<V>(f, Activation::gelu_tanh);
    case Activation::quick_gelu:
      return finish_with<V>(f, Activation::quick_gelu);
    case Activation::tanh:
      return finish_with<V>(f, Activation::tanh);
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
