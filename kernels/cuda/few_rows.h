#pragma once
/// How the outputs of a product of few rows belong together.
#include "core/device_calls.h"
#include "kernels/cuda/dev.h"
#include "kernels/cuda/pages.h"

namespace chiasm::device {

/// What becomes of sums: each its own output; a gate and the value that it opens; two numbers of a
/// head that are turned together, on their way into the cache.
enum class Ending { plain, gated, turned };

/// Two outputs of q, k and v that are turned together, or lie side by side where nothing turns.
struct Pair {
  std::int64_t first, second;  // outputs
  std::int64_t head, low;      // of all heads of q, k and v; `first`'s place in it
};

/// Pair `job` of the rows [q | k | v]: head by head, those that are turned first.
__device__ inline Pair pair_of(const TurnCall& turn, std::int64_t job) {
  const std::int64_t per_head = turn.head_dim / 2, head = job / per_head, at = job % per_head;
  const std::int64_t low = at < turn.half ? at : 2 * at;
  const std::int64_t high = at < turn.half ? at + turn.half : 2 * at + 1;
  return {head * turn.head_dim + low, head * turn.head_dim + high, head, low};
}

__device__ inline void store_pair(const TurnCall& turn, void* pages, std::int64_t head,
                                  const Pair& pair, std::int64_t slot, float a, float b) {
  const std::int64_t low =
      page_offset(slot / kPageTokens, slot % kPageTokens, head, turn.kv_heads, turn.head_dim) +
      pair.low;
  keep(pages, turn.bf16_pages, low, a);
  keep(pages, turn.bf16_pages, low + pair.second - pair.first, b);
}

/// Turns the pair of a row where it is q's or k's, and writes k and v to their pages.
__device__ inline void keep_pair(const TurnCall& turn, const Pair& pair, std::int64_t row, float& a,
                                 float& b) {
  const bool of_v = pair.head >= turn.heads + turn.kv_heads;
  if (turn.cosine != nullptr && !of_v && pair.low < turn.half) {
    const float cosine = turn.cosine[row * turn.half + pair.low];
    const float sine = turn.sine[row * turn.half + pair.low];
    const float low = a, high = b;
    a = low * cosine - high * sine;
    b = high * cosine + low * sine;
  }
  if (pair.head < turn.heads || turn.slot == nullptr) return;
  const std::int64_t slot = turn.slot[row];
  if (of_v) {
    store_pair(turn, turn.v_pages, pair.head - turn.heads - turn.kv_heads, pair, slot, a, b);
  } else {
    store_pair(turn, turn.k_pages, pair.head - turn.heads, pair, slot, a, b);
  }
}

}  // namespace chiasm::device
