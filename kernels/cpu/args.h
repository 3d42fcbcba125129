#pragma once
/// What a kernel body is given: plain structs, for files compiled with instruction-set flags.
#include <cstdint>

namespace chiasm::kernels::cpu {

struct NormArgs {
  const float* x;  // [rows, dim]
  std::int64_t x_stride;
  float* y;  // may be x
  std::int64_t y_stride;
  const float* weight;  // [dim]
  const float* bias;    // [dim]; RMS norm has none
  std::int64_t dim;
  float eps;
};

inline constexpr int kKeyBlock = 64;      // keys scored at a time; blocks begin at its multiples
inline constexpr int kMaxHeadDim = 256;   // what the scratch memory of a tile holds
inline constexpr int kTilePairs = 48;     // (row, head) pairs that share loaded keys and values
inline constexpr int kPairsTogether = 6;  // of which so many are multiplied at once

struct AttentionArgs {
  const float* q;
  std::int64_t q_stride;
  float* out;
  std::int64_t out_stride;
  const std::int32_t* first_key;
  const std::int32_t* last_key;
  std::int64_t heads, kv_heads, head_dim;
  float scale, softcap;
  // Contiguous rows, float32; or pages [page][kv_head][kKeyBlock][head_dim], float32 or bfloat16.
  const void* k;
  const void* v;
  std::int64_t k_stride, v_stride;
  bool paged, bf16;
};

/// A piece of work: some (row, head) pairs of one sequence that read the same KV head. Pair i is
/// row q_begin + i / group, head kv_head * group + i % group, group = heads / kv_heads.
struct AttentionTile {
  std::int64_t q_begin;
  std::int64_t k_begin;       // contiguous keys
  const std::int32_t* pages;  // paged keys
  std::int64_t kv_head;
  std::int64_t pair_begin;
  int pairs;  // 1 .. kTilePairs
};

}  // namespace chiasm::kernels::cpu
