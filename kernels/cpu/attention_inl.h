#pragma once
/// Attention of a tile of rows over all its keys, block by block (see attention_block_inl.h).
/// Keys are attended in parts of 512 that are joined in order, so that threads can share the keys
/// of few rows and each row still comes out the same.
#include <cstdint>

#include "kernels/cpu/args.h"
#include "kernels/cpu/attention_block_inl.h"
#include "kernels/cpu/math_inl.h"

namespace chiasm::kernels::cpu {
namespace {

/// The pairs of a tile and the rows they belong to.
struct TilePairs {
  const AttentionArgs& a;
  const AttentionTile& t;
  std::int64_t group;

  TilePairs(const AttentionArgs& args, const AttentionTile& tile)
      : a(args), t(tile), group(args.heads / args.kv_heads) {}
  std::int64_t row(int pair) const { return t.q_begin + (t.pair_begin + pair) / group; }
  std::int64_t column(int pair) const {
    return (t.kv_head * group + (t.pair_begin + pair) % group) * a.head_dim;
  }
  /// From the first key that any of them sees to behind the last; {0, 0} when none sees any.
  void keys(std::int64_t& begin, std::int64_t& end) const {
    begin = INT64_MAX;
    end = 0;
    for (std::int64_t r = row(0); r <= row(t.pairs - 1); r++) {
      if (a.first_key[r] >= a.last_key[r]) continue;
      begin = a.first_key[r] < begin ? a.first_key[r] : begin;
      end = a.last_key[r] > end ? a.last_key[r] : end;
    }
    if (end == 0) begin = 0;
  }
};

/// Queries as [dim][pair] by groups of kPairsTogether, scaled.
inline void load_queries(const TilePairs& pairs, float* out) {
  const AttentionArgs& a = pairs.a;
  const int dim = int(a.head_dim);
  for (int pair = 0; pair < pairs.t.pairs; pair++) {
    const int first = pair / kPairsTogether * kPairsTogether, rest = pairs.t.pairs - first;
    const int together = rest < kPairsTogether ? rest : kPairsTogether;
    const float* q = a.q + pairs.row(pair) * a.q_stride + pairs.column(pair);
    float* to = out + first * dim + (pair - first);
    for (int j = 0; j < dim; j++) to[j * together] = q[j] * a.scale;
  }
}

template <class V>
void clear(SoftmaxState& s, int pairs, int padded) {
  for (int i = 0; i < pairs * padded; i += V::kLanes) V::zero().store(s.sums + i);
  for (int pair = 0; pair < pairs; pair++) {
    s.largest[pair] = -__builtin_inff();
    s.total[pair] = 0;
  }
}

/// All pairs of a tile against the keys [key_begin, key_end), into s.part.
template <class V>
void attend_part(const TilePairs& pairs, std::int64_t key_begin, std::int64_t key_end,
                 AttentionScratch& s) {
  using AttendBlock =
      void (*)(const AttentionArgs&, const KeyRange*, const Block&, int, AttentionScratch&);
  static constexpr AttendBlock kByPairs[kPairsTogether] = {attend_block<V, 1>, attend_block<V, 2>,
                                                           attend_block<V, 3>, attend_block<V, 4>,
                                                           attend_block<V, 5>, attend_block<V, 6>};
  const AttentionArgs& a = pairs.a;
  const AttentionTile& t = pairs.t;
  const int padded = padded_dim<V>(a);
  clear<V>(s.part, t.pairs, padded);
  for (std::int64_t block = key_begin / kKeyBlock; block * kKeyBlock < key_end; block++) {
    KeyRange ranges[kMaxTilePairs], all{kKeyBlock, 0};
    for (int pair = 0; pair < t.pairs; pair++) {
      const KeyRange own = in_block(a, pairs.row(pair), block);
      ranges[pair] = own;
      if (own.empty()) continue;
      all.begin = own.begin < all.begin ? own.begin : all.begin;
      all.end = own.end > all.end ? own.end : all.end;
    }
    if (all.empty()) continue;
    const BlockRows key_rows = block_rows(a, t, a.k, a.k_stride, block);
    const BlockRows value_rows = block_rows(a, t, a.v, a.v_stride, block);
    Block now{};
    if (t.pairs <= kFewPairs) {
      now.keys = pad_keys<V>(a, key_rows, all, s.keys);
    } else {
      transpose_keys<V>(pad_keys<V>(a, key_rows, all, s.values), padded, s.keys);
    }
    now.values = pad_values<V>(a, value_rows, all, s.values);
    for (int pair = 0; pair < t.pairs; pair += kPairsTogether) {
      const int together = t.pairs - pair < kPairsTogether ? t.pairs - pair : kPairsTogether;
      kByPairs[together - 1](a, ranges + pair, now, pair, s);
    }
  }
}

/// What one pair has gathered, wherever it lies.
struct PairState {
  float* sums;  // [padded]
  float* largest;
  float* total;
};

/// `to` gains the keys of `part`, which come behind its own.
template <class V>
void join(const PairState& part, int padded, const PairState& to) {
  if (*part.total == 0) return;
  if (*to.total == 0) {
    for (int i = 0; i < padded; i += V::kLanes) V::load(part.sums + i).store(to.sums + i);
    *to.largest = *part.largest;
    *to.total = *part.total;
    return;
  }
  const float largest = *part.largest > *to.largest ? *part.largest : *to.largest;
  const V shrink = exp(V::set(*to.largest - largest));
  const V part_shrink = exp(V::set(*part.largest - largest));
  for (int i = 0; i < padded; i += V::kLanes) {
    fma(V::load(part.sums + i), part_shrink, V::load(to.sums + i) * shrink).store(to.sums + i);
  }
  float lanes[V::kLanes];
  fma(V::set(*part.total), part_shrink, V::set(*to.total) * shrink).store(lanes);
  *to.largest = largest;
  *to.total = lanes[0];
}

template <class V>
void write_pair(const TilePairs& pairs, int pair, const PairState& s) {
  const AttentionArgs& a = pairs.a;
  float* out = a.out + pairs.row(pair) * a.out_stride + pairs.column(pair);
  const V total = V::set(*s.total == 0 ? 1.0f : *s.total);  // a row that saw no key gives zeros
  const int dim = int(a.head_dim);
  for (int j = 0; j < dim; j += V::kLanes) {
    const int n = dim - j < V::kLanes ? dim - j : V::kLanes;
    (V::load(s.sums + j) / total).store_first(out + j, n);
  }
}

inline PairState pair_of(SoftmaxState& s, int pair, int padded) {
  return {s.sums + pair * padded, s.largest + pair, s.total + pair};
}

/// Where a pair of a part lies in AttentionTile::partial.
inline PairState pair_of(const TilePairs& pairs, int part, int pair) {
  const std::int64_t floats = partial_floats(pairs.a.head_dim);
  float* at = pairs.t.partial + (std::int64_t(part) * pairs.t.pairs + pair) * floats;
  return {at, at + floats - 2, at + floats - 1};
}

template <class V>
void attention_tile(const AttentionArgs& a, const AttentionTile& t) {
  const TilePairs pairs(a, t);
  const int padded = padded_dim<V>(a);
  AttentionScratch s;
  load_queries(pairs, s.q);
  std::int64_t begin, end;
  pairs.keys(begin, end);
  if (t.part >= 0) {
    const std::int64_t part_begin = t.part * std::int64_t(kPartKeys);
    const std::int64_t part_end = part_begin + kPartKeys;
    attend_part<V>(pairs, part_begin > begin ? part_begin : begin, part_end < end ? part_end : end,
                   s);
    for (int pair = 0; pair < t.pairs; pair++) {
      const PairState to = pair_of(pairs, t.part, pair);
      *to.total = 0;
      join<V>(pair_of(s.part, pair, padded), padded, to);
    }
    return;
  }
  clear<V>(s.joined, t.pairs, padded);
  while (begin < end) {
    const std::int64_t next = (begin / kPartKeys + 1) * kPartKeys;
    attend_part<V>(pairs, begin, next < end ? next : end, s);
    for (int pair = 0; pair < t.pairs; pair++) {
      join<V>(pair_of(s.part, pair, padded), padded, pair_of(s.joined, pair, padded));
    }
    begin = next;
  }
  for (int pair = 0; pair < t.pairs; pair++) {
    write_pair<V>(pairs, pair, pair_of(s.joined, pair, padded));
  }
}

template <class V>
void join_attention_tile(const AttentionArgs& a, const AttentionTile& t, int parts) {
  const TilePairs pairs(a, t);
  const int padded = padded_dim<V>(a);
  for (int pair = 0; pair < t.pairs; pair++) {
    alignas(64) float sums[kMaxHeadDim];
    for (int i = 0; i < padded; i += V::kLanes) V::zero().store(sums + i);
    float largest = -__builtin_inff(), total = 0;
    const PairState joined{sums, &largest, &total};
    for (int part = 0; part < parts; part++) join<V>(pair_of(pairs, part, pair), padded, joined);
    write_pair<V>(pairs, pair, joined);
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
