#pragma once
/// How keys and values lie in pages of the cache, as kernels/attention.h has them: [pages,
/// kv_heads, kPageTokens, head_dim].
#include "kernels/cuda/dev.h"
#include "kernels/cuda/page_size.h"

namespace chiasm::device {

/// Where the numbers of a head begin, of the key at place `key` of a page.
__device__ inline std::int64_t page_offset(std::int64_t page, std::int64_t key, std::int64_t head,
                                           std::int64_t kv_heads, std::int64_t head_dim) {
  return ((page * kv_heads + head) * kPageTokens + key) * head_dim;
}

/// pages[at] = v, kept as the pages keep numbers.
__device__ inline void keep(void* pages, bool bf16, std::int64_t at, float v) {
  if (bf16) {
    static_cast<std::uint16_t*>(pages)[at] = dev::to_bf16(v);
  } else {
    static_cast<float*>(pages)[at] = v;
  }
}

}  // namespace chiasm::device
