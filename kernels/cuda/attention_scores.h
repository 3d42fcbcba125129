#pragma once
/// What both attention kernels share: where a key lies, and its score.
#include "core/device_calls.h"
#include "kernels/cuda/dev.h"
#include "kernels/cuda/pages.h"

namespace chiasm::device {

/// The maximum of no scores.
inline constexpr float kNoKey = -INFINITY;

/// Key or value `key` of a sequence. `base`: contiguous rows `stride` numbers apart, or pages.
template <class Number>
__device__ const Number* key_address(const AttentionCall& c, const void* base, std::int64_t stride,
                                     const Sequence& s, std::int64_t kv_head, std::int64_t key) {
  const auto* numbers = static_cast<const Number*>(base);
  if (!c.paged) return numbers + (s.k_begin + key) * stride + kv_head * c.head_dim;
  const std::int64_t page = c.pages[s.pages + key / kPageTokens];
  return numbers + page_offset(page, key % kPageTokens, kv_head, c.kv_heads, c.head_dim);
}

inline constexpr float kLog2E = 1.4426950408889634f;

/// A product of q and k as the exponent of two that the softmax takes, where scores are capped.
/// Without branches: tanh(x) = 1 - 2 / (1 + e^2x), wrong by 2^-22 of the cap at most.
__device__ inline float capped_in_log2(const AttentionCall& c, float product) {
  const float e = dev::exp2(2.0f * kLog2E * c.scale / c.softcap * product);
  return kLog2E * c.softcap * (1.0f - 2.0f / (1.0f + e));
}

/// Likewise, capped or not.
__device__ inline float in_log2(const AttentionCall& c, float product) {
  return c.softcap > 0 ? capped_in_log2(c, product) : kLog2E * c.scale * product;
}

}  // namespace chiasm::device
