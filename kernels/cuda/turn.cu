// Rotary embedding of q and k, and their way into the pages of the cache: one block a row. Axes of
// positions are in the tables of angles, so one kernel turns along one axis or several.
#include "kernels/cuda/dev.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/pages.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 128;

__device__ void turn_heads(float* x, std::int64_t heads, const TurnCall& c, std::int64_t row) {
  const float* cosine = c.cosine + row * c.half;
  const float* sine = c.sine + row * c.half;
  for (std::int64_t i = threadIdx.x; i < heads * c.half; i += blockDim.x) {
    const std::int64_t pair = i % c.half;
    float* low = x + i / c.half * c.head_dim + pair;
    float* high = low + c.half;
    const float a = *low, b = *high;
    *low = a * cosine[pair] - b * sine[pair];
    *high = b * cosine[pair] + a * sine[pair];
  }
}

__device__ void store(const float* x, void* pages, const TurnCall& c, std::int64_t slot) {
  for (std::int64_t i = threadIdx.x; i < c.kv_heads * c.head_dim; i += blockDim.x) {
    const std::int64_t head = i / c.head_dim, at = i % c.head_dim;
    const std::int64_t begin =
        page_offset(slot / kPageTokens, slot % kPageTokens, head, c.kv_heads, c.head_dim);
    keep(pages, c.bf16_pages, begin + at, x[i]);
  }
}

__global__ void turn_rows(TurnCall c) {
  const std::int64_t row = blockIdx.x;
  float* k = c.k != nullptr ? c.k + row * c.k_stride : nullptr;
  if (c.cosine != nullptr) {
    if (c.q != nullptr) turn_heads(c.q + row * c.q_stride, c.heads, c, row);
    if (c.k != nullptr) turn_heads(k, c.kv_heads, c, row);
  }
  if (c.slot == nullptr) return;
  dev::sync_block();  // k is turned
  if (c.k_pages != nullptr) store(k, c.k_pages, c, c.slot[row]);
  if (c.v_pages != nullptr) store(c.v + row * c.v_stride, c.v_pages, c, c.slot[row]);
}

}  // namespace

void turn(Session& session, const TurnCall& call) {
  if (call.rows == 0) return;
  dev::launch(session, turn_rows, dev::Grid(unsigned(call.rows)), kThreads, 0, call);
}

}  // namespace chiasm::device
