// Attention whose products are of bfloat16 pairs, by VDPBF16PS: queries, keys, values and softmax
// weights are narrowed, sums and softmax stay float32.
//
// A tile goes through its keys in parts of 512 (see attention_inl.h). The keys and values of a few
// parts are packed once for all rows of the tile, unless these are few and the keys lie in pages;
// six rows at a time are scored against a whole part, softened with the part's maximum (so nothing
// is rescaled on the way) and multiplied with the values. One row's arithmetic is fixed as in the
// float32 kernel: a score is one chain over pairs of dimensions, an output one chain over pairs of
// keys, and of a pair of which a row sees one key the other takes part as zero times zero.
#include <cstdint>

#include "kernels/cpu/attention_bf16_products_inl.h"
#include "kernels/cpu/attention_inl.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::kernels::cpu {

namespace {

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

/// Parts that are packed side by side: as many as fit where one of the widest heads does.
constexpr int kMostPartsTogether = kMaxUnits / 16;
inline int parts_together(const AttentionArgs& a) {
  const int by_keys = kMaxUnits / padded_units(a), by_values = kMaxHeadDim / padded_dim<V>(a);
  return by_keys < by_values ? by_keys : by_values;
}

/// Pairs from `first` on that are multiplied together.
inline int some_of(const TilePairs& pairs, int first) {
  const int rest = pairs.t.pairs - first;
  return rest < kPairsTogether ? rest : kPairsTogether;
}

/// Rows of a wide matrix come from far and in steps that the CPU does not foresee: while a block of
/// keys is packed its values are asked for, and while these are packed the next block's keys.
inline void prefetch_row(const float* row, int dim) {
  for (int i = 0; i < dim; i += 16) {
    _mm_prefetch(reinterpret_cast<const char*>(row + i), _MM_HINT_T0);
  }
}
inline void prefetch_row(const BlockRows& rows, int key, int dim) {
  if (rows.data == nullptr || rows.bf16) return;
  prefetch_row(static_cast<const float*>(rows.data) + key * rows.stride, dim);
}

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
void pack_keys(const AttentionArgs& a, const BlockRows& rows, KeyRange range,
               const BlockRows& wanted, float* buffer, float* out) {
  const int dim = int(a.head_dim), units = padded_units(a);
  PaddedRows from{buffer, units};
  if (rows.bf16 && dim % 32 == 0) {
    from = {static_cast<const float*>(rows.data), units};
  } else {
    for (int key = 0; key < kKeyBlock; key++) {
      const bool seen = key >= range.begin && key < range.end;
      prefetch_row(wanted, key, dim);
      for (int u = 0; u < units; u += V::kLanes) {
        const __m512 x = seen ? load_units(rows, key, 2 * u, dim) : _mm512_setzero_ps();
        _mm512_store_ps(buffer + key * units + u, x);
      }
    }
  }
  transpose_keys<V>(from, units, out);
}

/// Values of a block as [pair of keys][padded dim]. Pairs that nobody sees are left out.
void pack_values(const AttentionArgs& a, const BlockRows& rows, KeyRange range,
                 const BlockRows& wanted, float* out) {
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);
  for (int pair = range.begin / 2; pair < (range.end + 1) / 2; pair++) {
    prefetch_row(wanted, 2 * pair, dim);
    prefetch_row(wanted, 2 * pair + 1, dim);
    const bool first = 2 * pair >= range.begin, second = 2 * pair + 1 < range.end;
    for (int c = 0; c < padded; c += V::kLanes) {
      const __mmask16 mask = lanes_of(dim - c);
      const __m256i low = load_values(rows, 2 * pair, c, first ? mask : 0);
      const __m256i high = load_values(rows, 2 * pair + 1, c, second ? mask : 0);
      _mm512_store_ps(out + pair * padded + c, side_by_side(low, high));
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

/// 2^x for x <= 0 or thereabouts, infinitely negative too. Minimax fit on [0, 1]: 2.6e-6, where
/// narrowing to bfloat16 follows with 3.9e-3. Scaling takes the whole part of the power by itself,
/// and what is left of minus infinity is zero.
inline __m512 exp2(__m512 x) {
  constexpr float kFit[] = {1.0000026f, 0.69300383f, 0.24144275f, 0.05201146f, 0.013534168f};
  const V rest{_mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
  return _mm512_scalef_ps(polynomial(rest, kFit).v, x);
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

/// A row's keys inside a part: the vectors at both ends, where it may not see every key, and those
/// between.
struct SeenKeys {
  explicit SeenKeys(KeyRange range) : own(range) {
    const int inner_begin = (own.begin + 31) / 32 * 32, inner_end = own.end / 32 * 32;
    first = {own.begin / 32 * 32, inner_begin};
    inner = {inner_begin, inner_end};
    last = {inner_end > inner_begin ? inner_end : inner_begin, (own.end + 31) / 32 * 32};
  }
  KeyRange own, first, inner, last;
};

/// What scores are multiplied with before they are powers of e.
inline float score_scale(const AttentionArgs& a) {
  return a.softcap > 0 ? 1.0f : a.scale < 0 ? -a.scale : a.scale;
}

/// The largest score of a row over a part, all of them capped where the model caps them.
float highest_score(const AttentionArgs& a, const SeenKeys& keys, float* scores) {
  if (a.softcap > 0) {
    const V scale = V::set((a.scale < 0 ? -a.scale : a.scale) / a.softcap);
    for (int i = keys.first.begin; i < keys.last.end; i += 16) {
      (V::set(a.softcap) * tanh(V::load(scores + i) * scale)).store(scores + i);
    }
  }
  const V low = V::set(-__builtin_inff());
  V even = low, odd = low;
  largest_scores<true>(scores, keys.first, keys.own, even, odd);
  largest_scores<false>(scores, keys.inner, keys.own, even, odd);
  largest_scores<true>(scores, keys.last, keys.own, even, odd);
  return largest(max(even, odd));
}

/// Softmax of one row over a part, given its highest score. Returns the sum of the narrowed
/// weights, so that they add up to one.
float soften_part(const AttentionArgs& a, const SeenKeys& keys, const float* scores, float highest,
                  float* weights) {
  constexpr float kLog2E = 1.44269504f;
  const float factor = score_scale(a) * kLog2E;
  const Softening f{_mm512_set1_ps(factor), _mm512_set1_ps(highest * factor)};
  __m512 added[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  narrow_all<true>(scores, keys.first, keys.own, f, weights, added);
  narrow_all<false>(scores, keys.inner, keys.own, f, weights, added);
  narrow_all<true>(scores, keys.last, keys.own, f, weights, added);
  return sum(V{_mm512_add_ps(added[0], added[1])});
}

/// Softmax of R rows over a part. All maxima first: each ends in a chain across lanes, and chains
/// of several rows run side by side.
template <int R>
void soften_rows(const AttentionArgs& a, const KeyRange* ranges, Scratch& s) {
  float highest[R] = {};
  for (int r = 0; r < R; r++) {
    if (ranges[r].empty()) continue;
    highest[r] = highest_score(a, SeenKeys(ranges[r]), s.scores + r * kPartKeys);
    s.largest[r] = highest[r] * score_scale(a);
  }
  for (int r = 0; r < R; r++) {
    if (ranges[r].empty()) continue;
    s.total[r] = soften_part(a, SeenKeys(ranges[r]), s.scores + r * kPartKeys, highest[r],
                             s.weights + r * kPartPairs);
  }
}

/// R pairs against one part, packed or as it lies; ranges are of keys inside it.
template <int R, class Part>
void attend_pairs(const AttentionArgs& a, const KeyRange* ranges, const Part& part, Scratch& s) {
  const int padded = padded_dim<V>(a);
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
    part.template score<R>(s.q, key, s.scores + key);
  }
  soften_rows<R>(a, ranges, s);
  for (int i = 0; i < R * padded; i += 16) _mm512_store_ps(s.sums + i, _mm512_setzero_ps());
  // Pairs of keys that all rows see are added together, the others row by row, each row's in
  // ascending order.
  if (common.empty()) common = {kPartPairs, kPartPairs};
  const auto add_alone = [&](int r, KeyRange pairs) {
    add_row(s.weights + r * kPartPairs, part, pairs, ranges[r], s.sums + r * padded, padded);
  };
  for (int r = 0; r < R; r++) {
    const int end = (ranges[r].end + 1) / 2;
    if (!ranges[r].empty()) {
      add_alone(r, {ranges[r].begin / 2, end < common.begin ? end : common.begin});
    }
  }
  if (common.empty()) return;
  add_pairs<R>(s.weights, part, common, s.sums, padded);
  for (int r = 0; r < R; r++) add_alone(r, {common.end, (ranges[r].end + 1) / 2});
}

/// What of [first, last) lies in the `size` keys from `begin` on, counted from there.
inline KeyRange inside(std::int64_t first, std::int64_t last, std::int64_t begin, int size) {
  const std::int64_t from = first - begin, to = last - begin;
  const int low = int(from < 0 ? 0 : from > size ? size : from);
  return {low, int(to < low ? low : to > size ? size : to)};
}

/// Packs what is seen of a part as part `place` of those that lie side by side in the scratch.
PackedPart pack_part(const AttentionArgs& a, const AttentionTile& t, std::int64_t part,
                     KeyRange seen, int place, Scratch& s) {
  const int units = padded_units(a), padded = padded_dim<V>(a);
  float* const keys = s.keys + place * units * kPartKeys;
  float* const values = s.values + place * kPartPairs * padded;
  for (int key = seen.begin / kKeyBlock * kKeyBlock; key < seen.end; key += kKeyBlock) {
    const std::int64_t block = (part * kPartKeys + key) / kKeyBlock;
    const KeyRange range = inside(seen.begin, seen.end, key, kKeyBlock);
    const BlockRows value_rows = block_rows(a, t, a.v, a.v_stride, block);
    BlockRows next{};
    if (key + kKeyBlock < seen.end) next = block_rows(a, t, a.k, a.k_stride, block + 1);
    pack_keys(a, block_rows(a, t, a.k, a.k_stride, block), range, value_rows, s.rows,
              keys + key * units);
    pack_values(a, value_rows, range, next, values + key / 2 * padded);
  }
  return {keys, values, units_of(a), units, padded};
}

PagedPart find_part(const AttentionArgs& a, const AttentionTile& t, std::int64_t part,
                    KeyRange seen) {
  PagedPart found{{}, {}, int(a.head_dim)};
  const int begin = seen.begin / kKeyBlock, end = (seen.end - 1) / kKeyBlock + 1;
  for (int i = begin; i < end; i++) {
    const std::int64_t block = part * (kPartKeys / kKeyBlock) + i;
    found.keys[i] = static_cast<const float*>(block_rows(a, t, a.k, a.k_stride, block).data);
    found.values[i] =
        static_cast<const std::uint16_t*>(block_rows(a, t, a.v, a.v_stride, block).data);
  }
  found.keys[end] = found.keys[end - 1];  // nothing comes behind it: what is there already
  fetch(found.keys[begin], kKeyBlock * found.dim / 32);
  return found;
}

/// The pairs from `first` on, as many as are multiplied together, against a part of the keys.
template <class Part>
void attend_some(const TilePairs& pairs, int first, std::int64_t part, const Part& keys,
                 Scratch& s) {
  using Attend = void (*)(const AttentionArgs&, const KeyRange*, const Part&, Scratch&);
  static constexpr Attend kByPairs[kPairsTogether] = {attend_pairs<1, Part>, attend_pairs<2, Part>,
                                                      attend_pairs<3, Part>, attend_pairs<4, Part>,
                                                      attend_pairs<5, Part>, attend_pairs<6, Part>};
  const AttentionArgs& a = pairs.a;
  const int together = some_of(pairs, first);
  KeyRange ranges[kPairsTogether];
  for (int r = 0; r < together; r++) {
    const std::int64_t row = pairs.row(first + r);
    ranges[r] = inside(a.first_key[row], a.last_key[row], part * kPartKeys, kPartKeys);
  }
  kByPairs[together - 1](a, ranges, keys, s);
}

/// All pairs of a tile against the parts [part, part_end) of the keys that they see, [begin, end);
/// gather(pair, state) takes each one's result of each part, in order. At most parts_together(a).
template <class Gather>
void attend_parts(const TilePairs& pairs, std::int64_t part, std::int64_t part_end,
                  std::int64_t begin, std::int64_t end, Scratch& s, const Gather& gather) {
  const AttentionArgs& a = pairs.a;
  const int count = pairs.t.pairs, padded = padded_dim<V>(a);
  const auto seen_of = [&](std::int64_t i) { return inside(begin, end, i * kPartKeys, kPartKeys); };
  const auto gather_some = [&](int first) {
    for (int r = 0; r < some_of(pairs, first); r++) {
      gather(first + r, {s.sums + r * padded, s.largest + r, s.total + r});
    }
  };
  // Packing pays when it is used more than once.
  if (count <= kPairsTogether && PagedPart::fits(a)) {
    load_query_units(pairs, 0, count, s.q);
    for (; part < part_end; part++) {
      if (seen_of(part).empty()) continue;
      attend_some(pairs, 0, part, find_part(a, pairs.t, part, seen_of(part)), s);
      gather_some(0);
    }
    return;
  }
  PackedPart packed[kMostPartsTogether];
  for (std::int64_t i = part; i < part_end; i++) {
    packed[i - part] = pack_part(a, pairs.t, i, seen_of(i), int(i - part), s);
  }
  for (int pair = 0; pair < count; pair += kPairsTogether) {
    load_query_units(pairs, pair, some_of(pairs, pair), s.q);
    for (std::int64_t i = part; i < part_end; i++) {
      if (seen_of(i).empty()) continue;
      attend_some(pairs, pair, i, packed[i - part], s);
      gather_some(pair);
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
    attend_parts(pairs, t.part, t.part + 1, begin, end, s, [&](int pair, const PairState& state) {
      join<V>(state, padded, pair_of(pairs, t.part, pair));
    });
    return;
  }
  for (int pair = 0; pair < t.pairs; pair++) *s.of(pair, padded).total = 0;
  const std::int64_t last = (end + kPartKeys - 1) / kPartKeys, together = parts_together(a);
  for (std::int64_t part = begin / kPartKeys; part < last; part += together) {
    const std::int64_t part_end = part + together < last ? part + together : last;
    attend_parts(pairs, part, part_end, begin, end, s, [&](int pair, const PairState& state) {
      join<V>(state, padded, s.of(pair, padded));
    });
  }
  for (int pair = 0; pair < t.pairs; pair++) {
    const PairState state = s.of(pair, padded);
    if (*state.total == 0) {  // it saw no key
      for (int i = 0; i < padded; i += 16) V::zero().store(state.sums + i);
    }
    write_pair<V>(pairs, pair, state);
  }
}

}  // namespace chiasm::kernels::cpu
