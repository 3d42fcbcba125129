// Attention whose products are of bfloat16 pairs, by VDPBF16PS: queries, keys, values and softmax
// weights are narrowed, sums and softmax stay float32.
//
// A tile goes through its keys in parts of 512 (see attention_inl.h). The keys and values of a part
// are packed once for all rows of the tile; six rows at a time are scored against the whole part,
// softened with the part's maximum (so nothing is rescaled on the way) and multiplied with the
// values. One row's arithmetic is fixed as in the float32 kernel: a score is one chain over pairs
// of dimensions, an output one chain over pairs of keys, and of a pair of which a row sees one key
// the other takes part as zero times zero.
#include <cstdint>

#include "kernels/cpu/attention_inl.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::kernels::cpu {

namespace {

using V = VecAvx512;

constexpr int kPartPairs = kPartKeys / 2;
constexpr int kMaxUnits = kMaxHeadDim / 2;

// Pairs of bfloat16 lie in the bits of floats ("units").
struct Scratch {
  alignas(64) float keys[kMaxUnits * kPartKeys];       // by blocks: [unit][key]
  alignas(64) float values[kPartPairs * kMaxHeadDim];  // [pair of keys][padded dim]
  alignas(64) float rows[kKeyBlock * kMaxUnits];       // a block's keys before transposing
  alignas(64) float q[kPairsTogether * kMaxUnits];     // [pair][unit]
  alignas(64) float scores[kPairsTogether * kPartKeys];
  alignas(64) float weights[kPairsTogether * kPartPairs];
  alignas(64) float sums[kPairsTogether * kMaxHeadDim];
  float largest[kPairsTogether], total[kPairsTogether];
  // Of the parts before: [pair][padded dim], maxima, totals.
  alignas(64) float joined[kBf16TileFloats];
  float joined_largest[kMaxBf16TilePairs], joined_total[kMaxBf16TilePairs];

  PairState of(int pair, int padded) {
    return {joined + pair * padded, joined_largest + pair, joined_total + pair};
  }
};
static_assert(sizeof(Scratch) <= kBf16ScratchBytes);

inline __m512 add_product(__m512 sum, __m512 a, __m512 b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
}

inline __m512 narrow(__m512 low, __m512 high) {
  return _mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(high, low));
}

inline __mmask16 lanes_of(int left) { return left >= 16 ? 0xffff : left <= 0 ? 0 : V::first(left); }

/// Rows of a wide matrix come from far and in steps that the CPU does not foresee, so packing asks
/// for the row `kAhead` rows on.
constexpr int kAhead = 12;
inline void prefetch_row(const float* row, int dim) {
  for (int i = 0; i < dim; i += 16) {
    _mm_prefetch(reinterpret_cast<const char*>(row + i), _MM_HINT_T0);
  }
}
inline void prefetch_row(const BlockRows& rows, int key, int dim) {
  if (!rows.bf16) prefetch_row(static_cast<const float*>(rows.data) + key * rows.stride, dim);
}

/// Units of a row that hold dimensions, and the same as whole vectors.
inline int units_of(const AttentionArgs& a) { return int(a.head_dim + 1) / 2; }
inline int padded_units(const AttentionArgs& a) { return int(a.head_dim + 31) / 32 * 16; }

/// One vector of units from dimension `at` of a row on; zeros behind the last.
inline __m512 load_units(const BlockRows& rows, int key, int at, int dim) {
  if (rows.bf16) {
    const auto* from = static_cast<const std::uint16_t*>(rows.data) + key * rows.stride + at;
    const int left = dim - at;
    const __mmask32 mask = left >= 32 ? ~__mmask32(0) : (__mmask32(1) << left) - 1;
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, from));
  }
  const float* from = static_cast<const float*>(rows.data) + key * rows.stride + at;
  return narrow(_mm512_maskz_loadu_ps(lanes_of(dim - at), from),
                _mm512_maskz_loadu_ps(lanes_of(dim - at - 16), from + 16));
}

/// Keys of a block as [unit][key]. Those that nobody sees are zeros, or what a page holds there.
void pack_keys(const AttentionArgs& a, const BlockRows& rows, KeyRange range, float* buffer,
               float* out) {
  const int dim = int(a.head_dim), units = padded_units(a);
  PaddedRows from{buffer, units};
  if (rows.bf16 && dim % 32 == 0) {
    from = {static_cast<const float*>(rows.data), units};
  } else {
    for (int key = 0; key < kKeyBlock; key++) {
      const bool seen = key >= range.begin && key < range.end;
      if (key + kAhead < range.end) prefetch_row(rows, key + kAhead, dim);
      for (int u = 0; u < units; u += V::kLanes) {
        const __m512 x = seen ? load_units(rows, key, 2 * u, dim) : _mm512_setzero_ps();
        _mm512_store_ps(buffer + key * units + u, x);
      }
    }
  }
  transpose_keys<V>(from, units, out);
}

/// 16 values of a row, zeros where not in `mask`.
inline __m256i load_values(const BlockRows& rows, int key, int at, __mmask16 mask) {
  if (rows.bf16) {
    const auto* from = static_cast<const std::uint16_t*>(rows.data) + key * rows.stride + at;
    return _mm256_maskz_loadu_epi16(mask, from);
  }
  const float* from = static_cast<const float*>(rows.data) + key * rows.stride + at;
  return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
}

/// Values of a block as [pair of keys][padded dim]. Pairs that nobody sees are left out.
void pack_values(const AttentionArgs& a, const BlockRows& rows, KeyRange range, float* out) {
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);
  for (int pair = range.begin / 2; pair < (range.end + 1) / 2; pair++) {
    if (2 * pair + kAhead + 1 < range.end) {
      prefetch_row(rows, 2 * pair + kAhead, dim);
      prefetch_row(rows, 2 * pair + kAhead + 1, dim);
    }
    const bool first = 2 * pair >= range.begin, second = 2 * pair + 1 < range.end;
    for (int c = 0; c < padded; c += V::kLanes) {
      const __mmask16 mask = lanes_of(dim - c);
      const __m256i low = load_values(rows, 2 * pair, c, first ? mask : 0);
      const __m256i high = load_values(rows, 2 * pair + 1, c, second ? mask : 0);
      const __m512i both = _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
      _mm512_store_ps(out + pair * padded + c, _mm512_castsi512_ps(both));
    }
  }
}

/// Queries of the pairs from `first` on as [pair][kMaxUnits]. Scores are scaled later, by |scale|.
void load_query_units(const TilePairs& pairs, int first, int count, float* out) {
  const AttentionArgs& a = pairs.a;
  const int dim = int(a.head_dim);
  const __m512 sign = _mm512_set1_ps(a.scale < 0 ? -1.0f : 1.0f);
  const auto row_of = [&](int pair) {
    return a.q + pairs.row(pair) * a.q_stride + pairs.column(pair);
  };
  for (int r = 0; r < count; r++) {
    const float* q = row_of(first + r);
    for (int at = 0; at < dim; at += 32) {
      const __m512 low = _mm512_maskz_loadu_ps(lanes_of(dim - at), q + at);
      const __m512 high = _mm512_maskz_loadu_ps(lanes_of(dim - at - 16), q + at + 16);
      _mm512_store_ps(out + r * kMaxUnits + at / 2,
                      narrow(_mm512_mul_ps(low, sign), _mm512_mul_ps(high, sign)));
    }
  }
  for (int pair = first + count; pair < first + 2 * count && pair < pairs.t.pairs; pair++) {
    prefetch_row(row_of(pair), dim);
  }
}

/// scores[r][key] = sum over units of q[r][unit] * keys[unit][key], one block.
template <int R>
void score_block(const float* q, const float* keys, int units, float* scores) {
  __m512 sums[R][4];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) sums[r][j] = _mm512_setzero_ps();
  }
  for (int u = 0; u < units; u++) {
    __m512 k[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) k[j] = _mm512_load_ps(keys + u * kKeyBlock + j * 16);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const __m512 factor = _mm512_set1_ps(q[r * kMaxUnits + u]);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) sums[r][j] = add_product(sums[r][j], factor, k[j]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) _mm512_store_ps(scores + r * kPartKeys + j * 16, sums[r][j]);
  }
}

/// 2^x for x <= 0 or thereabouts, infinitely negative too. Minimax fit on [-1/2, 1/2]: 7.5e-5,
/// where narrowing to bfloat16 follows with 3.9e-3. The sum with 1.5 * 2^23 rounds to an integer:
/// adding keeps other units busy than multiplying does.
inline __m512 exp2(__m512 x) {
  constexpr float kFit[] = {0.99992806f, 0.69326097f, 0.24261113f, 0.05517167f};
  const V rounder = V::set(0x1.8p23f);
  const V power{_mm512_max_ps(_mm512_set1_ps(-200.0f), x)};  // NaN stays
  const V n = (power + rounder) - rounder;
  return times_power_of_two(polynomial(power - n, kFit), n).v;
}

/// The lanes of vector [at, at + 16) that `range` holds.
inline __mmask16 seen_lanes(KeyRange range, int at) {
  return V::between(range.begin - at, range.end - at);
}

/// The largest of `even`, `odd` and one row's scores in `at`, bounds at multiples of 32. kMasked:
/// the row does not see all of these keys.
template <bool kMasked>
void largest_scores(const float* scores, KeyRange at, KeyRange own, V& even, V& odd) {
  for (int i = at.begin; i < at.end; i += 32) {
    const V x = V::load(scores + i), y = V::load(scores + i + 16);
    even = kMasked ? select(seen_lanes(own, i), max(x, even), even) : max(x, even);
    odd = kMasked ? select(seen_lanes(own, i + 16), max(y, odd), odd) : max(y, odd);
  }
}

/// How scores become weights: 2^(score * factor - shift).
struct Softening {
  __m512 factor, shift;
};

/// The weights of 32 keys, narrowed, 0 where the row does not see the key; stored and returned.
template <bool kMasked>
inline __m512 narrow_weights(const float* scores, int at, KeyRange own, const Softening& f,
                             float* weights) {
  __m512 low = exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + at), f.factor, f.shift));
  __m512 high = exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + at + 16), f.factor, f.shift));
  if constexpr (kMasked) {
    low = _mm512_maskz_mov_ps(seen_lanes(own, at), low);
    high = _mm512_maskz_mov_ps(seen_lanes(own, at + 16), high);
  }
  const __m512 pairs = narrow(low, high);
  _mm512_store_ps(weights + at / 2, pairs);
  return pairs;
}

/// The weights of all keys in `at`; adds their sums in pairs to `added`, two chains of them.
template <bool kMasked>
void narrow_all(const float* scores, KeyRange at, KeyRange own, const Softening& f, float* weights,
                __m512 (&added)[2]) {
  const __m512 ones = _mm512_castsi512_ps(_mm512_set1_epi32(0x3f803f80));
  int i = at.begin;
  for (; i + 64 <= at.end; i += 64) {
    const __m512 first = narrow_weights<kMasked>(scores, i, own, f, weights);
    const __m512 second = narrow_weights<kMasked>(scores, i + 32, own, f, weights);
    added[0] = add_product(added[0], first, ones);
    added[1] = add_product(added[1], second, ones);
  }
  if (i < at.end) {
    added[0] = add_product(added[0], narrow_weights<kMasked>(scores, i, own, f, weights), ones);
  }
}

/// Softmax of one row over a part. `total` is the sum of the narrowed weights, so that they add up
/// to one.
void soften_part(const AttentionArgs& a, float* scores, KeyRange own, float* weights,
                 float* part_largest, float* total) {
  constexpr float kLog2E = 1.44269504f;
  float scale = a.scale < 0 ? -a.scale : a.scale;
  const KeyRange all{own.begin / 32 * 32, (own.end + 31) / 32 * 32};
  if (a.softcap > 0) {
    for (int i = all.begin; i < all.end; i += 16) {
      (V::set(a.softcap) * tanh(V::load(scores + i) * V::set(scale / a.softcap))).store(scores + i);
    }
    scale = 1;
  }
  // The vectors at both ends, where the row may not see every key, and those between.
  const int inner_begin = (own.begin + 31) / 32 * 32, inner_end = own.end / 32 * 32;
  const KeyRange first{all.begin, inner_begin}, inner{inner_begin, inner_end};
  const KeyRange last{inner_end > inner_begin ? inner_end : inner_begin, all.end};
  const V low = V::set(-__builtin_inff());
  V even = low, odd = low;
  largest_scores<true>(scores, first, own, even, odd);
  largest_scores<false>(scores, inner, own, even, odd);
  largest_scores<true>(scores, last, own, even, odd);
  const float highest = largest(max(even, odd));
  *part_largest = highest * scale;
  const Softening f{_mm512_set1_ps(scale * kLog2E), _mm512_set1_ps(highest * (scale * kLog2E))};
  __m512 added[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  narrow_all<true>(scores, first, own, f, weights, added);
  narrow_all<false>(scores, inner, own, f, weights, added);
  narrow_all<true>(scores, last, own, f, weights, added);
  *total = sum(V{_mm512_add_ps(added[0], added[1])});
}

/// sums[r][c] += sum over pairs of keys of weights[r][pair] * values[pair][c], N vectors of
/// columns.
template <int R, int N>
void add_columns(const float* weights, const float* values, KeyRange pairs, float* sums,
                 int padded) {
  __m512 acc[R][N];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) acc[r][j] = _mm512_load_ps(sums + r * padded + j * 16);
  }
  for (int pair = pairs.begin; pair < pairs.end; pair++) {
    __m512 v[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) v[j] = _mm512_load_ps(values + pair * padded + j * 16);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const __m512 weight = _mm512_set1_ps(weights[r * kPartPairs + pair]);
#pragma GCC unroll 4
      for (int j = 0; j < N; j++) acc[r][j] = add_product(acc[r][j], weight, v[j]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) _mm512_store_ps(sums + r * padded + j * 16, acc[r][j]);
  }
}

template <int R>
void add_pairs(const float* weights, const float* values, KeyRange pairs, float* sums, int padded) {
  int c = 0;
  for (; c + 64 <= padded; c += 64) {
    add_columns<R, 4>(weights, values + c, pairs, sums + c, padded);
  }
  for (; c < padded; c += 16) add_columns<R, 1>(weights, values + c, pairs, sums + c, padded);
}

/// The same for one row, whose keys may begin or end amid a pair: its values that the row does not
/// see count as zeros, whatever they are.
void add_row(const float* weights, const float* values, KeyRange pairs, KeyRange own, float* sums,
             int padded) {
  for (int pair = pairs.begin; pair < pairs.end; pair++) {
    const unsigned low = 2 * pair >= own.begin ? 0xffffu : 0;
    const unsigned high = 2 * pair + 1 < own.end ? 0xffff0000u : 0;
    const __m512 mask = _mm512_castsi512_ps(_mm512_set1_epi32(int(low | high)));
    const __m512 weight = _mm512_set1_ps(weights[pair]);
    for (int c = 0; c < padded; c += 16) {
      const __m512 v = _mm512_and_ps(mask, _mm512_load_ps(values + pair * padded + c));
      _mm512_store_ps(sums + c, add_product(_mm512_load_ps(sums + c), weight, v));
    }
  }
}

/// R pairs against one packed part; ranges are of keys inside it.
template <int R>
void attend_pairs(const AttentionArgs& a, const KeyRange* ranges, Scratch& s) {
  const int padded = padded_dim<V>(a), units = units_of(a);
  KeyRange any{kPartKeys, 0}, common{0, kPartPairs};
  for (int r = 0; r < R; r++) {
    s.total[r] = 0;
    const KeyRange own = ranges[r];
    common.begin = (own.begin + 1) / 2 > common.begin ? (own.begin + 1) / 2 : common.begin;
    common.end = own.end / 2 < common.end ? own.end / 2 : common.end;
    if (own.empty()) continue;
    any.begin = own.begin < any.begin ? own.begin : any.begin;
    any.end = own.end > any.end ? own.end : any.end;
  }
  if (any.empty()) return;
  for (int key = any.begin / kKeyBlock * kKeyBlock; key < any.end; key += kKeyBlock) {
    score_block<R>(s.q, s.keys + std::int64_t(key) * padded_units(a), units, s.scores + key);
  }
  for (int r = 0; r < R; r++) {
    if (ranges[r].empty()) continue;
    soften_part(a, s.scores + r * kPartKeys, ranges[r], s.weights + r * kPartPairs, s.largest + r,
                s.total + r);
  }
  for (int i = 0; i < R * padded; i += 16) _mm512_store_ps(s.sums + i, _mm512_setzero_ps());
  // Pairs of keys that all rows see are added together, the others row by row, each row's in
  // ascending order.
  if (common.empty()) common = {kPartPairs, kPartPairs};
  const auto add_alone = [&](int r, KeyRange pairs) {
    add_row(s.weights + r * kPartPairs, s.values, pairs, ranges[r], s.sums + r * padded, padded);
  };
  for (int r = 0; r < R; r++) {
    const int end = (ranges[r].end + 1) / 2;
    if (!ranges[r].empty()) {
      add_alone(r, {ranges[r].begin / 2, end < common.begin ? end : common.begin});
    }
  }
  if (common.empty()) return;
  add_pairs<R>(s.weights, s.values, common, s.sums, padded);
  for (int r = 0; r < R; r++) add_alone(r, {common.end, (ranges[r].end + 1) / 2});
}

/// What of [first, last) lies in the `size` keys from `begin` on, counted from there.
inline KeyRange inside(std::int64_t first, std::int64_t last, std::int64_t begin, int size) {
  const std::int64_t from = first - begin, to = last - begin;
  const int low = int(from < 0 ? 0 : from > size ? size : from);
  return {low, int(to < low ? low : to > size ? size : to)};
}

void pack_part(const AttentionArgs& a, const AttentionTile& t, std::int64_t part, KeyRange seen,
               Scratch& s) {
  const int units = padded_units(a), padded = padded_dim<V>(a);
  for (int key = seen.begin / kKeyBlock * kKeyBlock; key < seen.end; key += kKeyBlock) {
    const std::int64_t block = (part * kPartKeys + key) / kKeyBlock;
    const KeyRange range = inside(seen.begin, seen.end, key, kKeyBlock);
    pack_keys(a, block_rows(a, t, a.k, a.k_stride, block), range, s.rows, s.keys + key * units);
    pack_values(a, block_rows(a, t, a.v, a.v_stride, block), range, s.values + key / 2 * padded);
  }
}

/// All pairs of a tile against part `part` of the keys that they see, [begin, end);
/// gather(pair, state) takes each one's result.
template <class Gather>
void attend_whole_part(const TilePairs& pairs, std::int64_t part, std::int64_t begin,
                       std::int64_t end, Scratch& s, const Gather& gather) {
  using Attend = void (*)(const AttentionArgs&, const KeyRange*, Scratch&);
  static constexpr Attend kByPairs[kPairsTogether] = {attend_pairs<1>, attend_pairs<2>,
                                                      attend_pairs<3>, attend_pairs<4>,
                                                      attend_pairs<5>, attend_pairs<6>};
  const AttentionArgs& a = pairs.a;
  const int count = pairs.t.pairs, padded = padded_dim<V>(a);
  const std::int64_t first = part * kPartKeys;
  const KeyRange seen = inside(begin, end, first, kPartKeys);
  if (seen.empty()) return;
  pack_part(a, pairs.t, part, seen, s);
  for (int pair = 0; pair < count; pair += kPairsTogether) {
    const int together = count - pair < kPairsTogether ? count - pair : kPairsTogether;
    KeyRange ranges[kPairsTogether];
    for (int r = 0; r < together; r++) {
      const std::int64_t row = pairs.row(pair + r);
      ranges[r] = inside(a.first_key[row], a.last_key[row], first, kPartKeys);
    }
    load_query_units(pairs, pair, together, s.q);
    kByPairs[together - 1](a, ranges, s);
    for (int r = 0; r < together; r++) {
      gather(pair + r, {s.sums + r * padded, s.largest + r, s.total + r});
    }
  }
}

}  // namespace

void attention_avx512_bf16(const AttentionArgs& a, const AttentionTile& t) {
  Scratch& s = *static_cast<Scratch*>(t.scratch);
  const TilePairs pairs(a, t);
  const int padded = padded_dim<V>(a);
  std::int64_t begin, end;
  pairs.keys(begin, end);
  if (t.part >= 0) {
    for (int pair = 0; pair < t.pairs; pair++) *pair_of(pairs, t.part, pair).total = 0;
    attend_whole_part(pairs, t.part, begin, end, s, [&](int pair, const PairState& state) {
      join<V>(state, padded, pair_of(pairs, t.part, pair));
    });
    return;
  }
  for (int pair = 0; pair < t.pairs; pair++) {
    *s.of(pair, padded).total = 0;
    for (int i = 0; i < padded; i += 16) V::zero().store(s.of(pair, padded).sums + i);
  }
  for (std::int64_t part = begin / kPartKeys; part * kPartKeys < end; part++) {
    attend_whole_part(pairs, part, begin, end, s, [&](int pair, const PairState& state) {
      join<V>(state, padded, s.of(pair, padded));
    });
  }
  for (int pair = 0; pair < t.pairs; pair++) write_pair<V>(pairs, pair, s.of(pair, padded));
}

}  // namespace chiasm::kernels::cpu
