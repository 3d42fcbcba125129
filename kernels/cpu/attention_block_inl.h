#pragma once
/// Attention of a few rows over one block of 64 keys, over a vector V of simd_*.h: scores, online
/// softmax (Dao et al., 2022, arXiv:2205.14135), weighted values.
///
/// One row's arithmetic depends on that row's queries, its visible keys and their absolute indices
/// alone: a score is one chain of multiply-adds over the dimensions with keys as lanes, an output
/// is one chain over the keys with dimensions as lanes, and both are the same for one row and for
/// six rows that share the loads. A key that a row does not see takes part in no addition of it.
#include <cstdint>

#include "kernels/cpu/args.h"
#include "kernels/cpu/math_inl.h"

namespace chiasm::kernels::cpu {
namespace {

/// The softmax of some pairs on its way.
struct SoftmaxState {
  alignas(64) float sums[kTileFloats];  // [pair][padded dim], not yet normalised
  float largest[kMaxTilePairs];         // running maximum of the scores
  float total[kMaxTilePairs];  // sum of exp(score - largest); 0 until a key was seen, then >= 1
};

/// One tile's memory, on the stack of the thread that works on it.
struct AttentionScratch {
  alignas(64) float keys[kMaxHeadDim * kKeyBlock];    // [dim][key]
  alignas(64) float values[kKeyBlock * kMaxHeadDim];  // [key][padded dim]
  alignas(64) float q[kTileFloats];                   // by groups of pairs: [dim][pair], scaled
  alignas(64) float scores[kPairsTogether * kKeyBlock];
  SoftmaxState part;    // of the keys of one part
  SoftmaxState joined;  // of the parts before
};

struct KeyRange {
  int begin, end;  // inside a block
  bool empty() const { return end <= begin; }
  bool full() const { return begin == 0 && end == kKeyBlock; }
};

/// The rows of one block in K or V.
struct BlockRows {
  const void* data;
  std::int64_t stride;
  RowFormat format;
  const std::uint16_t* scales = nullptr;  // of int8: bfloat16, [group of kScaledDims][key]
};

inline BlockRows block_rows(const AttentionArgs& a, const AttentionTile& t, const void* base,
                            std::int64_t stride, std::int64_t block) {
  if (!a.paged) {
    const std::int64_t row = t.k_begin + block * kKeyBlock;
    const float* from = static_cast<const float*>(base) + row * stride + t.kv_head * a.head_dim;
    return {from, stride, RowFormat::f32};
  }
  const std::int64_t index = t.pages[block] * a.kv_heads + t.kv_head;
  const char* from = static_cast<const char*>(base) + index * page_head_bytes(a.format, a.head_dim);
  BlockRows rows{from, a.head_dim, a.format};
  if (a.format == RowFormat::i8) {
    rows.scales = reinterpret_cast<const std::uint16_t*>(from + kKeyBlock * a.head_dim);
  }
  return rows;
}

template <class V>
int padded_dim(const AttentionArgs& a) {
  return int((a.head_dim + V::kLanes - 1) / V::kLanes * V::kLanes);
}

template <class V>
V widen(const float* p) {
  return V::load(p);
}
template <class V>
V widen(const std::uint16_t* p) {
  return V::load_bf16(p);
}
template <class V>
V widen(const std::int8_t* p) {
  return V::load_int8(p);
}

/// The scale of dimension `at` of an int8 row.
inline float scale_of(const BlockRows& rows, int key, int at) {
  const std::uint32_t bits = std::uint32_t(rows.scales[at / kScaledDims * kKeyBlock + key]) << 16;
  float scale;
  __builtin_memcpy(&scale, &bits, sizeof scale);
  return scale;
}

template <class V, class T>
void widen_rows(const BlockRows& rows, int dim, int padded, KeyRange range, float* out) {
  static_assert(kScaledDims % V::kLanes == 0, "a vector has one scale");
  for (int key = range.begin; key < range.end; key++) {
    const T* from = static_cast<const T*>(rows.data) + key * rows.stride;
    const auto put = [&](int at, V x) __attribute__((always_inline)) {
      if constexpr (sizeof(T) == 1) x = x * V::set(scale_of(rows, key, at));  // exact
      x.store(out + key * padded + at);
    };
    int i = 0;
    for (; i + V::kLanes <= dim; i += V::kLanes) put(i, widen<V>(from + i));
    if (i == dim) continue;
    T last[V::kLanes] = {};
    for (int j = i; j < dim; j++) last[j - i] = from[j];
    put(i, widen<V>(last));
  }
}

/// Rows [range.begin, range.end) of a block as float32, [key][padded dim] with zeros behind.
template <class V>
void widen_rows(const BlockRows& rows, int dim, int padded, KeyRange range, float* out) {
  switch (rows.format) {
    case RowFormat::f32:
      return widen_rows<V, float>(rows, dim, padded, range, out);
    case RowFormat::bf16:
      return widen_rows<V, std::uint16_t>(rows, dim, padded, range, out);
    case RowFormat::i8:
      return widen_rows<V, std::int8_t>(rows, dim, padded, range, out);
  }
}

/// Float32 rows of whole vectors: [key][padded dim].
struct PaddedRows {
  const float* data;
  std::int64_t stride;
};

/// The keys of a block, from where they lie or, zeros added where the block or the vectors are not
/// full, from `buffer`.
template <class V>
PaddedRows pad_keys(const AttentionArgs& a, const BlockRows& rows, KeyRange range, float* buffer) {
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);
  if (rows.format == RowFormat::f32 && padded == dim && range.full()) {
    return {static_cast<const float*>(rows.data), rows.stride};
  }
  for (int i = 0; i < range.begin * padded; i += V::kLanes) V::zero().store(buffer + i);
  for (int i = range.end * padded; i < kKeyBlock * padded; i += V::kLanes) {
    V::zero().store(buffer + i);
  }
  widen_rows<V>(rows, dim, padded, range, buffer);
  return {buffer, padded};
}

/// The values of a block. Rows that nobody sees are left out.
template <class V>
PaddedRows pad_values(const AttentionArgs& a, const BlockRows& rows, KeyRange range,
                      float* buffer) {
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);
  // Rows of a wide matrix are copied although they need not: many of them fall on the same lines
  // of the first-level cache.
  if (a.paged && rows.format == RowFormat::f32 && padded == dim) {
    return {static_cast<const float*>(rows.data), rows.stride};
  }
  widen_rows<V>(rows, dim, padded, range, buffer);
  return {buffer, padded};
}

/// [key][padded dim] to [padded dim][key].
template <class V>
void transpose_keys(const PaddedRows& rows, int padded, float* out) {
  for (int key = 0; key < kKeyBlock; key += V::kLanes) {
    for (int i = 0; i < padded; i += V::kLanes) {
      V columns[V::kLanes];
      load_transposed(rows.data + key * rows.stride + i, rows.stride, columns);
#pragma GCC unroll 16
      for (int c = 0; c < V::kLanes; c++) columns[c].store(out + (i + c) * kKeyBlock + key);
    }
  }
}

/// Vectors of keys scored side by side: with six rows they leave room for the keys themselves.
template <class V>
inline constexpr int kScoreVectors = V::kRegisters == 32 ? 4 : 2;

/// scores[r][key] = sum over i of q[i][r] * keys[i][key].
template <class V, int R>
void score_keys(const float* q, const float* keys, int dim, float* scores) {
  constexpr int kVectors = kScoreVectors<V>;
  for (int key = 0; key < kKeyBlock; key += kVectors * V::kLanes) {
    V sums[R][kVectors];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) sums[r][j] = V::zero();
    }
    for (int i = 0; i < dim; i++) {
      V k[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) k[j] = V::load(keys + i * kKeyBlock + key + j * V::kLanes);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        const V factor = V::set(q[i * R + r]);
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; j++) sums[r][j] = fma(factor, k[j], sums[r][j]);
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) {
        sums[r][j].store(scores + r * kKeyBlock + key + j * V::kLanes);
      }
    }
  }
}

/// The same, bit for bit, from keys not yet transposed: for so few rows that writing the transposed
/// keys would cost more than using them.
template <class V, int R>
void score_rows(const float* q, const PaddedRows& rows, int dim, float* scores) {
  constexpr int kVectors = kScoreVectors<V>;
  for (int key = 0; key < kKeyBlock; key += kVectors * V::kLanes) {
    V sums[R][kVectors];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) sums[r][j] = V::zero();
    }
    const auto add_dims = [&](int i, int count) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) {
        V k[V::kLanes];
        load_transposed(rows.data + (key + j * V::kLanes) * rows.stride + i, rows.stride, k);
#pragma GCC unroll 16
        for (int c = 0; c < V::kLanes; c++) {
          if (c >= count) break;
#pragma GCC unroll 6
          for (int r = 0; r < R; r++) {
            sums[r][j] = fma(V::set(q[(i + c) * R + r]), k[c], sums[r][j]);
          }
        }
      }
    };
    int i = 0;
    for (; i + V::kLanes <= dim; i += V::kLanes) add_dims(i, V::kLanes);
    if (i < dim) add_dims(i, dim - i);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) {
        sums[r][j].store(scores + r * kKeyBlock + key + j * V::kLanes);
      }
    }
  }
}

/// sums[r][c] += sum over keys of weights[r][key] * values[key][c], N vectors of columns.
template <class V, int R, int N>
void add_value_columns(const float* weights, const float* values, std::int64_t stride,
                       KeyRange range, float* sums, int padded) {
  V acc[R][N];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) acc[r][j] = V::load(sums + r * padded + j * V::kLanes);
  }
  for (int key = range.begin; key < range.end; key++) {
    V v[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) v[j] = V::load(values + key * stride + j * V::kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const V weight = V::set(weights[r * kKeyBlock + key]);
#pragma GCC unroll 4
      for (int j = 0; j < N; j++) acc[r][j] = fma(weight, v[j], acc[r][j]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) acc[r][j].store(sums + r * padded + j * V::kLanes);
  }
}

template <class V, int R>
void add_values(const float* weights, const float* values, std::int64_t stride, KeyRange range,
                float* sums, int padded) {
  constexpr int kVectors = kScoreVectors<V>;
  int c = 0;
  for (; c + kVectors * V::kLanes <= padded; c += kVectors * V::kLanes) {
    add_value_columns<V, R, kVectors>(weights, values + c, stride, range, sums + c, padded);
  }
  for (; c < padded; c += V::kLanes) {
    add_value_columns<V, R, 1>(weights, values + c, stride, range, sums + c, padded);
  }
}

/// Scores of one row become exp(score - maximum), 0 where the row does not see the key; the
/// running maximum, total and sums of pair `pair` move on to the new maximum. kMasked: the row does
/// not see all keys of the block, or the scores are capped.
template <class V, bool kMasked>
void soften(float* scores, KeyRange range, float softcap, int pair, int padded, SoftmaxState& s) {
  constexpr int kVectors = kKeyBlock / V::kLanes;
  const V lowest = V::set(-__builtin_inff());
  V top = lowest;
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; j++) {
    const int i = j * V::kLanes;
    V x = V::load(scores + i);
    if constexpr (kMasked) {
      if (softcap > 0) x = V::set(softcap) * tanh(x / V::set(softcap));
      x = select(V::between(range.begin - i, range.end - i), x, lowest);
      x.store(scores + i);
    }
    top = max(x, top);
  }
  const float block_largest = largest(top);
  const float before = s.largest[pair];
  const float now = block_largest > before ? block_largest : before;
  V added = V::zero();
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; j++) {
    const int i = j * V::kLanes;
    const V e = exp(V::load(scores + i) - V::set(now));  // exp(-infinity) is exactly 0
    e.store(scores + i);
    added = added + e;
  }
  if (now != before) {
    float shrink[V::kLanes];
    exp(V::set(before - now)).store(shrink);
    s.largest[pair] = now;
    s.total[pair] *= shrink[0];
    float* sums = s.sums + pair * padded;
    for (int i = 0; i < padded; i += V::kLanes) {
      (V::load(sums + i) * V::set(shrink[0])).store(sums + i);
    }
  }
  s.total[pair] += sum(added);
}

/// Where a block's keys and values are.
struct Block {
  PaddedRows keys;  // or, with more than kFewPairs pairs, transposed in AttentionScratch::keys
  PaddedRows values;
};
inline constexpr int kFewPairs = 3;

/// R pairs against one block.
template <class V, int R>
void attend_block(const AttentionArgs& a, const KeyRange* ranges, const Block& block, int pair,
                  AttentionScratch& s) {
  const int padded = padded_dim<V>(a);
  float* sums = s.part.sums + pair * padded;
  const float* values = block.values.data;
  const std::int64_t stride = block.values.stride;
  const float* q = s.q + pair * a.head_dim;
  if constexpr (R <= kFewPairs) {
    if (block.keys.data != nullptr) score_rows<V, R>(q, block.keys, int(a.head_dim), s.scores);
  }
  if (block.keys.data == nullptr) score_keys<V, R>(q, s.keys, int(a.head_dim), s.scores);
  KeyRange common{0, kKeyBlock};
  for (int r = 0; r < R; r++) {
    const KeyRange own = ranges[r];
    common.begin = own.begin > common.begin ? own.begin : common.begin;
    common.end = own.end < common.end ? own.end : common.end;
    if (own.empty()) continue;
    const auto soften_row = own.full() && a.softcap == 0 ? soften<V, false> : soften<V, true>;
    soften_row(s.scores + r * kKeyBlock, own, a.softcap, pair + r, padded, s.part);
  }
  // Keys that all rows see are added together, the others row by row, each row's in ascending
  // order.
  if (common.empty()) common = {kKeyBlock, kKeyBlock};
  for (int r = 0; r < R; r++) {
    const KeyRange own = ranges[r];
    const KeyRange before{own.begin, own.end < common.begin ? own.end : common.begin};
    if (before.empty()) continue;
    add_values<V, 1>(s.scores + r * kKeyBlock, values, stride, before, sums + r * padded, padded);
  }
  if (common.empty()) return;
  add_values<V, R>(s.scores, values, stride, common, sums, padded);
  for (int r = 0; r < R; r++) {
    const KeyRange after{common.end, ranges[r].end};
    if (after.empty()) continue;
    add_values<V, 1>(s.scores + r * kKeyBlock, values, stride, after, sums + r * padded, padded);
  }
}

inline KeyRange in_block(const AttentionArgs& a, std::int64_t row, std::int64_t block) {
  const std::int64_t first = a.first_key[row] - block * kKeyBlock;
  const std::int64_t last = a.last_key[row] - block * kKeyBlock;
  const int begin = int(first < 0 ? 0 : first > kKeyBlock ? kKeyBlock : first);
  return {begin, int(last < begin ? begin : last > kKeyBlock ? kKeyBlock : last)};
}

}  // namespace
}  // namespace chiasm::kernels::cpu
