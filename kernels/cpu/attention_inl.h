#pragma once
/// Attention over a vector V of simd_*.h: blocks of 64 keys with online softmax (Dao et al., 2022,
/// arXiv:2205.14135).
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

/// One tile's memory, on the stack of the thread that works on it.
struct AttentionScratch {
  alignas(64) float keys[kMaxHeadDim * kKeyBlock];    // [dim][key]
  alignas(64) float values[kKeyBlock * kMaxHeadDim];  // [key][padded dim]
  alignas(64) float q[kTilePairs * kMaxHeadDim];      // by groups of pairs: [dim][pair], scaled
  alignas(64) float sums[kTilePairs * kMaxHeadDim];   // [pair][padded dim], not yet normalised
  alignas(64) float scores[kPairsTogether * kKeyBlock];
  float largest[kTilePairs];  // running maximum of the scores
  float total[kTilePairs];    // sum of exp(score - largest)
};

struct KeyRange {
  int begin = 0, end = 0;  // inside a block
  bool empty() const { return end <= begin; }
  bool full() const { return begin == 0 && end == kKeyBlock; }
};

/// The rows of one block in K or V.
struct BlockRows {
  const void* data;
  std::int64_t stride;
  bool bf16;
};

inline BlockRows block_rows(const AttentionArgs& a, const AttentionTile& t, const void* base,
                            std::int64_t stride, std::int64_t block) {
  if (!a.paged) {
    const std::int64_t row = t.k_begin + block * kKeyBlock;
    return {static_cast<const float*>(base) + row * stride + t.kv_head * a.head_dim, stride, false};
  }
  const std::int64_t at =
      (t.pages[block] * a.kv_heads + t.kv_head) * std::int64_t(kKeyBlock) * a.head_dim;
  if (a.bf16) return {static_cast<const std::uint16_t*>(base) + at, a.head_dim, true};
  return {static_cast<const float*>(base) + at, a.head_dim, false};
}

template <class V>
int padded_dim(const AttentionArgs& a) {
  return int((a.head_dim + V::kLanes - 1) / V::kLanes * V::kLanes);
}

/// Rows [range.begin, range.end) of a block as float32, [key][padded dim] with zeros behind.
template <class V>
void widen_rows(const BlockRows& rows, int dim, int padded, KeyRange range, float* out) {
  for (int key = range.begin; key < range.end; key++) {
    float* to = out + key * padded;
    int i = 0;
    if (rows.bf16) {
      const auto* from = static_cast<const std::uint16_t*>(rows.data) + key * rows.stride;
      for (; i + V::kLanes <= dim; i += V::kLanes) V::load_bf16(from + i).store(to + i);
      if (i < dim) {
        std::uint16_t last[V::kLanes] = {};
        for (int j = i; j < dim; j++) last[j - i] = from[j];
        V::load_bf16(last).store(to + i);
      }
    } else {
      const float* from = static_cast<const float*>(rows.data) + key * rows.stride;
      for (; i + V::kLanes <= dim; i += V::kLanes) V::load(from + i).store(to + i);
      if (i < dim) V::load_first(from + i, dim - i).store(to + i);
    }
  }
}

/// Keys of a block as [dim][key]; zeros where `range` does not reach. Uses s.values on the way.
template <class V>
void load_keys(const AttentionArgs& a, const BlockRows& rows, KeyRange range, AttentionScratch& s) {
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);
  const float* from = static_cast<const float*>(rows.data);
  std::int64_t stride = rows.stride;
  if (rows.bf16 || padded != dim || !range.full()) {
    for (int i = 0; i < range.begin * padded; i += V::kLanes) V::zero().store(s.values + i);
    for (int i = range.end * padded; i < kKeyBlock * padded; i += V::kLanes) {
      V::zero().store(s.values + i);
    }
    widen_rows<V>(rows, dim, padded, range, s.values);
    from = s.values;
    stride = padded;
  }
  for (int key = 0; key < kKeyBlock; key += V::kLanes) {
    for (int i = 0; i < padded; i += V::kLanes) {
      transpose(from + key * stride + i, stride, s.keys + i * kKeyBlock + key, kKeyBlock,
                V::zero());
    }
  }
}

/// scores[r][key] = sum over i of q[i][r] * keys[i][key].
template <class V, int R>
void score_keys(const float* q, const float* keys, int dim, float* scores) {
  constexpr int kVectors = V::kRegisters == 32 ? 4 : 2;
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
  constexpr int kVectors = V::kRegisters == 32 ? 4 : 2;
  int c = 0;
  for (; c + kVectors * V::kLanes <= padded; c += kVectors * V::kLanes) {
    add_value_columns<V, R, kVectors>(weights, values + c, stride, range, sums + c, padded);
  }
  for (; c < padded; c += V::kLanes) {
    add_value_columns<V, R, 1>(weights, values + c, stride, range, sums + c, padded);
  }
}

/// Scores of one row become exp(score - maximum), 0 where the row does not see the key; the
/// running maximum, total and sums move on to the new maximum.
template <class V>
void soften(float* scores, KeyRange range, float softcap, float& highest, float& total, float* sums,
            int padded) {
  const V lowest = V::set(-__builtin_inff());
  V top = lowest;
  for (int i = 0; i < kKeyBlock; i += V::kLanes) {
    V x = V::load(scores + i);
    if (softcap > 0) x = V::set(softcap) * tanh(x / V::set(softcap));
    x = select(V::between(range.begin - i, range.end - i), x, lowest);
    x.store(scores + i);
    top = max(x, top);
  }
  const float block_highest = largest(top);
  const float before = highest;
  highest = block_highest > before ? block_highest : before;
  V added = V::zero();
  for (int i = 0; i < kKeyBlock; i += V::kLanes) {
    const V e = exp(V::load(scores + i) - V::set(highest));
    const V p = select(V::between(range.begin - i, range.end - i), e, V::zero());
    p.store(scores + i);
    added = added + p;
  }
  if (highest != before) {
    float shrink[V::kLanes];
    exp(V::set(before - highest)).store(shrink);
    total *= shrink[0];
    for (int i = 0; i < padded; i += V::kLanes) {
      (V::load(sums + i) * V::set(shrink[0])).store(sums + i);
    }
  }
  total += sum(added);
}

/// R pairs against one block.
template <class V, int R>
void attend_block(const AttentionArgs& a, const KeyRange* ranges, const float* values,
                  std::int64_t stride, int pair, AttentionScratch& s) {
  const int padded = padded_dim<V>(a);
  float* sums = s.sums + pair * padded;
  score_keys<V, R>(s.q + pair * a.head_dim, s.keys, int(a.head_dim), s.scores);
  KeyRange common{0, kKeyBlock};
  for (int r = 0; r < R; r++) {
    const KeyRange own = ranges[r];
    common.begin = own.begin > common.begin ? own.begin : common.begin;
    common.end = own.end < common.end ? own.end : common.end;
    if (own.empty()) continue;
    soften<V>(s.scores + r * kKeyBlock, own, a.softcap, s.largest[pair + r], s.total[pair + r],
              sums + r * padded, padded);
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

/// Queries as [dim][pair] by groups of kPairsTogether, scaled; empty sums.
template <class V>
void begin_tile(const AttentionArgs& a, const AttentionTile& t, AttentionScratch& s) {
  const std::int64_t group = a.heads / a.kv_heads;
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);
  for (int pair = 0; pair < t.pairs; pair++) {
    const int first = pair / kPairsTogether * kPairsTogether;
    const int together = t.pairs - first < kPairsTogether ? t.pairs - first : kPairsTogether;
    const std::int64_t i = t.pair_begin + pair;
    const float* q =
        a.q + (t.q_begin + i / group) * a.q_stride + (t.kv_head * group + i % group) * a.head_dim;
    float* to = s.q + first * dim + (pair - first);
    for (int j = 0; j < dim; j++) to[j * together] = q[j] * a.scale;
    for (int j = 0; j < padded; j += V::kLanes) V::zero().store(s.sums + pair * padded + j);
    s.largest[pair] = -__builtin_inff();
    s.total[pair] = 0;
  }
}

template <class V>
void end_tile(const AttentionArgs& a, const AttentionTile& t, const AttentionScratch& s) {
  const std::int64_t group = a.heads / a.kv_heads;
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);
  for (int pair = 0; pair < t.pairs; pair++) {
    const std::int64_t i = t.pair_begin + pair;
    float* out = a.out + (t.q_begin + i / group) * a.out_stride +
                 (t.kv_head * group + i % group) * a.head_dim;
    // A row that saw a key has a total of at least 1 (or NaN); one that saw none gives zeros.
    const V total = V::set(s.total[pair] == 0 ? 1.0f : s.total[pair]);
    for (int j = 0; j < dim; j += V::kLanes) {
      const int n = dim - j < V::kLanes ? dim - j : V::kLanes;
      (V::load(s.sums + pair * padded + j) / total).store_first(out + j, n);
    }
  }
}

template <class V>
void attention_tile(const AttentionArgs& a, const AttentionTile& t) {
  using AttendBlock = void (*)(const AttentionArgs&, const KeyRange*, const float*, std::int64_t,
                               int, AttentionScratch&);
  static constexpr AttendBlock kByPairs[kPairsTogether] = {attend_block<V, 1>, attend_block<V, 2>,
                                                           attend_block<V, 3>, attend_block<V, 4>,
                                                           attend_block<V, 5>, attend_block<V, 6>};
  AttentionScratch s;
  begin_tile<V>(a, t, s);
  const std::int64_t group = a.heads / a.kv_heads;
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);

  // Keys that any of the rows sees.
  const std::int64_t first_row = t.q_begin + t.pair_begin / group;
  const std::int64_t last_row = t.q_begin + (t.pair_begin + t.pairs - 1) / group;
  std::int64_t key_begin = INT64_MAX, key_end = 0;
  for (std::int64_t row = first_row; row <= last_row; row++) {
    if (a.first_key[row] >= a.last_key[row]) continue;
    if (a.first_key[row] < key_begin) key_begin = a.first_key[row];
    if (a.last_key[row] > key_end) key_end = a.last_key[row];
  }
  for (std::int64_t block = key_begin / kKeyBlock; block * kKeyBlock < key_end; block++) {
    KeyRange ranges[kTilePairs], all{kKeyBlock, 0};
    for (int pair = 0; pair < t.pairs; pair++) {
      const KeyRange own = in_block(a, t.q_begin + (t.pair_begin + pair) / group, block);
      ranges[pair] = own;
      if (own.empty()) continue;
      all.begin = own.begin < all.begin ? own.begin : all.begin;
      all.end = own.end > all.end ? own.end : all.end;
    }
    if (all.empty()) continue;
    load_keys<V>(a, block_rows(a, t, a.k, a.k_stride, block), all, s);
    const BlockRows rows = block_rows(a, t, a.v, a.v_stride, block);
    const float* values = s.values;
    std::int64_t stride = padded;
    if (a.paged && !rows.bf16 && padded == dim) {
      values = static_cast<const float*>(rows.data);  // already as the loop wants them
      stride = rows.stride;
    } else {
      widen_rows<V>(rows, dim, padded, all, s.values);
    }
    for (int pair = 0; pair < t.pairs; pair += kPairsTogether) {
      const int together = t.pairs - pair < kPairsTogether ? t.pairs - pair : kPairsTogether;
      kByPairs[together - 1](a, ranges + pair, values, stride, pair, s);
    }
  }
  end_tile<V>(a, t, s);
}

}  // namespace
}  // namespace chiasm::kernels::cpu
