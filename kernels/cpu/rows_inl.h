#pragma once
/// Activations, norms and rotary embedding over a vector V of simd_*.h.
#include <cstdint>

#include "kernels/cpu/activation_inl.h"
#include "kernels/cpu/args.h"

namespace chiasm::kernels::cpu {
namespace {

template <class V>
void activate_all(Activation act, float* x, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) activation(act, V::load(x + i)).store(x + i);
  const int rest = int(n - i);
  if (rest > 0) activation(act, V::load_first(x + i, rest)).store_first(x + i, rest);
}

template <class V>
void gated_activation_all(Activation act, const float* gate, const float* up, float* y,
                          std::int64_t n) {
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    (activation(act, V::load(gate + i)) * V::load(up + i)).store(y + i);
  }
  const int rest = int(n - i);
  if (rest == 0) return;
  (activation(act, V::load_first(gate + i, rest)) * V::load_first(up + i, rest))
      .store_first(y + i, rest);
}

/// Sum over i of f(x[i]), f mapping a vector to a vector with f of an absent lane left out. Four
/// sums run side by side; the order of additions depends on n alone.
template <class V, class F>
float sum_over(const float* x, std::int64_t n, const F& f) {
  constexpr int kSums = 4;
  V sums[kSums] = {V::zero(), V::zero(), V::zero(), V::zero()};
  std::int64_t i = 0;
  for (; i + kSums * V::kLanes <= n; i += kSums * V::kLanes) {
#pragma GCC unroll 4
    for (int s = 0; s < kSums; s++) sums[s] = sums[s] + f(V::load(x + i + s * V::kLanes));
  }
  for (; i < n; i += V::kLanes) {
    const int count = n - i < V::kLanes ? int(n - i) : V::kLanes;
    const V term = f(V::load_first(x + i, count));
    sums[0] = sums[0] + select(V::between(0, count), term, V::zero());
  }
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// y[i] = f(x[i], i) for one row; f maps a vector, the index of its first lane and its lanes.
template <class V, class F>
void map_row(const float* x, float* y, std::int64_t n, const F& f) {
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    const int count = n - i < V::kLanes ? int(n - i) : V::kLanes;
    f(V::load_first(x + i, count), i, count).store_first(y + i, count);
  }
}

template <class V>
void layer_norm_rows(const NormArgs& a, std::int64_t begin, std::int64_t end) {
  for (std::int64_t r = begin; r < end; r++) {
    const float* x = a.x + r * a.x_stride;
    const V mean = V::set(sum_over<V>(x, a.dim, [](V v) { return v; }) / float(a.dim));
    const float squares = sum_over<V>(x, a.dim, [&](V v) { return (v - mean) * (v - mean); });
    const V scale = V::set(1.0f / __builtin_sqrtf(squares / float(a.dim) + a.eps));
    map_row<V>(x, a.y + r * a.y_stride, a.dim, [&](V v, std::int64_t i, int n) {
      return fma((v - mean) * scale, V::load_first(a.weight + i, n), V::load_first(a.bias + i, n));
    });
  }
}

template <class V>
void rms_norm_rows(const NormArgs& a, std::int64_t begin, std::int64_t end) {
  for (std::int64_t r = begin; r < end; r++) {
    const float* x = a.x + r * a.x_stride;
    const float squares = sum_over<V>(x, a.dim, [](V v) { return v * v; });
    const V scale = V::set(1.0f / __builtin_sqrtf(squares / float(a.dim) + a.eps));
    map_row<V>(x, a.y + r * a.y_stride, a.dim, [&](V v, std::int64_t i, int n) {
      return v * scale * V::load_first(a.weight + i, n);
    });
  }
}

template <class V>
void rotate_half_pairs(float* x, const float* cosine, const float* sine, std::int64_t half) {
  for (std::int64_t i = 0; i < half; i += V::kLanes) {
    const int n = half - i < V::kLanes ? int(half - i) : V::kLanes;
    const V c = V::load_first(cosine + i, n), s = V::load_first(sine + i, n);
    const V first = V::load_first(x + i, n), second = V::load_first(x + half + i, n);
    (first * c - second * s).store_first(x + i, n);
    (second * c + first * s).store_first(x + half + i, n);
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
