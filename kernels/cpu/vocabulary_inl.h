#pragma once
/// Passes over a vocabulary's logits, over a vector V of simd_*.h.
#include <cstdint>

#include "kernels/cpu/math_inl.h"

namespace chiasm::kernels::cpu {
namespace {

template <class V>
std::int64_t argmax_all(const float* x, std::int64_t n) {
  constexpr int kSums = 4;
  const V lowest = V::set(-__builtin_inff());
  V best[kSums] = {lowest, lowest, lowest, lowest};
  std::int64_t i = 0;
  for (; i + kSums * V::kLanes <= n; i += kSums * V::kLanes) {
#pragma GCC unroll 4
    for (int s = 0; s < kSums; s++) best[s] = max(V::load(x + i + s * V::kLanes), best[s]);
  }
  float top = largest(max(max(best[0], best[1]), max(best[2], best[3])));
  for (; i < n; i++) top = x[i] > top ? x[i] : top;
  // The first value equal to the largest. When all are -infinity or NaN, so is `top` -infinity.
  const V wanted = V::set(top);
  std::int64_t at = 0;
  while (at + V::kLanes <= n && !any(equal(V::load(x + at), wanted))) at += V::kLanes;
  while (at < n && !(x[at] == top)) at++;
  return at < n ? at : -1;
}

template <class V>
double exp_over(const float* x, std::int64_t n, float shift, float* out) {
  double sums[V::kLanes] = {};
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    const int count = n - i < V::kLanes ? int(n - i) : V::kLanes;
    const V e = exp(V::load_first(x + i, count) - V::set(shift));
    if (out != nullptr) e.store_first(out + i, count);
    float lanes[V::kLanes];
    select(V::between(0, count), e, V::zero()).store(lanes);
    for (int j = 0; j < V::kLanes; j++) sums[j] += double(lanes[j]);
  }
  double total = 0;
  for (const double s : sums) total += s;
  return total;
}

}  // namespace
}  // namespace chiasm::kernels::cpu
