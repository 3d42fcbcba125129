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
inline constexpr int kScaledDims = 32;    // dimensions of an int8 row that share a scale
inline constexpr int kPartKeys = 512;     // keys summed up on their own, then joined to the total
inline constexpr int kMaxHeadDim = 256;   // what the scratch memory of a tile holds
inline constexpr int kPairsTogether = 6;  // (row, head) pairs multiplied at once
inline constexpr int kMaxTilePairs = 96;  // pairs that share loaded keys and values
inline constexpr int kTileFloats = 48 * kMaxHeadDim;  // and the numbers of their queries, padded
// The same for the bfloat16 kernel, and the memory it works in.
inline constexpr int kMaxBf16TilePairs = 1024;
inline constexpr int kBf16TileFloats = 256 * kMaxHeadDim;
inline constexpr int kBf16ScratchBytes = 896 * 1024;

/// How keys and values lie in memory.
enum class RowFormat : std::uint8_t { f32, bf16, i8 };

/// Scales of an int8 row.
static constexpr std::int64_t scales_of_row(std::int64_t head_dim) {
  return (head_dim + kScaledDims - 1) / kScaledDims;
}

/// Bytes of the keys, or values, of one KV head in a page; those of int8 with their scales.
static constexpr std::int64_t page_head_bytes(RowFormat format, std::int64_t head_dim) {
  if (format == RowFormat::f32) return kKeyBlock * head_dim * 4;
  if (format == RowFormat::bf16) return kKeyBlock * head_dim * 2;
  return kKeyBlock * (head_dim + 2 * scales_of_row(head_dim));
}

struct AttentionArgs {
  const float* q;
  std::int64_t q_stride;
  float* out;
  std::int64_t out_stride;
  const std::int32_t* first_key;
  const std::int32_t* last_key;
  std::int64_t heads, kv_heads, head_dim;
  float scale, softcap;
  // Contiguous rows, float32; or pages [page][kv_head][kKeyBlock][head_dim], where int8 ones have
  // the scales of the KV head's rows behind them: bfloat16, [scales_of_row][kKeyBlock].
  const void* k;
  const void* v;
  std::int64_t k_stride, v_stride;
  bool paged;
  RowFormat format;
};

/// A piece of work: some (row, head) pairs of one sequence that read the same KV head. Pair i is
/// row q_begin + i / group, head kv_head * group + i % group, group = heads / kv_heads.
struct AttentionTile {
  std::int64_t q_begin;
  std::int64_t k_begin;       // contiguous keys
  const std::int32_t* pages;  // paged keys
  std::int64_t kv_head;
  std::int64_t pair_begin;
  int pairs;  // 1 .. tile_pairs(head_dim, bf16_products)
  // Keys as parts of kPartKeys: all that the rows see are attended one part after the other and
  // the rows of `out` written; or one part is attended and left in `partial`, to be joined later.
  int part = -1;
  float* partial = nullptr;  // [parts][pairs][partial_floats(head_dim)]
  void* scratch = nullptr;   // bfloat16 kernel: kBf16ScratchBytes of the thread, 64-byte aligned
};

/// Numbers that one pair leaves behind after one part: its sums, maximum and total.
static constexpr std::int64_t partial_floats(std::int64_t head_dim) {
  return (head_dim + 31) / 16 * 16;
}

/// Pairs of a tile at most. The bfloat16 kernel packs keys and values for each tile, and wants
/// more.
static constexpr std::int64_t tile_pairs(std::int64_t head_dim, bool bf16_products) {
  const std::int64_t padded = (head_dim + 15) / 16 * 16;
  const std::int64_t pairs = (bf16_products ? kBf16TileFloats : kTileFloats) / padded;
  const std::int64_t most = bf16_products ? kMaxBf16TilePairs : kMaxTilePairs;
  return pairs < most ? pairs : most;
}

}  // namespace chiasm::kernels::cpu
