#pragma once
/// Attention of a tile that goes through its keys in parts of 512 (see attention_inl.h), over a
/// form of keys and values: packed once for all rows of the tile or, where these are few, as they
/// lie in pages. Six rows at a time are scored against a whole part, softened with the part's
/// maximum and multiplied with the values. For files compiled for AVX-512 BF16.
///
/// A `Form` has
///   kMaxUnits, padded_units(args): 4-byte units of the widest and of this head's keys
///   kMaxSets: sets of weights that a row has, see weights_of
///   Queries, load_queries(pairs, first, count, queries): six rows as the scores want them
///   Packed(args, keys, values), .take(args, key, range, keys, values, next, buffer): a packed
///   part,
///     taken in block by block
///   kPaged: whether it also has
///   Paged::fits(args), Paged(args, tile, part, seen): a part where it lies
/// and both parts
///   score<R>(queries, key, scores): of the 64 keys from `key` on
///   keep(softened, at, weights, added): weights as the values want them, and their sum
///   sets(), kSharedColumns, load_values(pair, at, vectors): see add_columns
/// where packed and paged give the same bits.
#include <cstdint>

#include "kernels/cpu/attention_inl.h"
#include "kernels/cpu/attention_softmax_inl.h"

namespace chiasm::kernels::cpu {
namespace {

template <class Form>
struct PartScratch {
  alignas(64) float keys[Form::kMaxUnits * kPartKeys];  // by blocks: [unit][key]
  alignas(64) float values[kPartPairs * kMaxHeadDim];   // [pair of keys][padded dim]
  alignas(64) float rows[kKeyBlock * Form::kMaxUnits];  // a block's keys before transposing
  alignas(64) typename Form::Queries q;
  alignas(64) float scores[kPairsTogether * kPartKeys];
  alignas(64) float weights[kPairsTogether * Form::kMaxSets * kPartPairs];
  alignas(64) float sums[kPairsTogether * kMaxHeadDim];
  float largest[kPairsTogether], total[kPairsTogether];
  // Of the parts before: [pair][padded dim], maxima, totals.
  alignas(64) float joined[kBf16TileFloats];
  float joined_largest[kMaxBf16TilePairs], joined_total[kMaxBf16TilePairs];

  PairState of(int pair, int padded) {
    return {joined + pair * padded, joined_largest + pair, joined_total + pair};
  }
};

/// Parts that are packed side by side: as many as fit where one of the widest heads does.
template <class Form>
int parts_together(const AttentionArgs& a) {
  const int by_keys = Form::kMaxUnits / Form::padded_units(a);
  const int by_values = kMaxHeadDim / padded_dim<V>(a);
  return by_keys < by_values ? by_keys : by_values;
}

/// Pairs from `first` on that are multiplied together.
inline int some_of(const TilePairs& pairs, int first) {
  const int rest = pairs.t.pairs - first;
  return rest < kPairsTogether ? rest : kPairsTogether;
}

/// Softmax of R rows over a part. All maxima first: each ends in a chain across lanes, and chains
/// of several rows run side by side.
template <int R, class Form, class Part>
void soften_rows(const AttentionArgs& a, const KeyRange* ranges, const Part& part,
                 PartScratch<Form>& s) {
  float highest[R] = {};
  for (int r = 0; r < R; r++) {
    if (ranges[r].empty()) continue;
    highest[r] = highest_score(a, SeenKeys(ranges[r]), s.scores + r * kPartKeys);
    s.largest[r] = highest[r] * score_scale(a);
  }
  for (int r = 0; r < R; r++) {
    if (ranges[r].empty()) continue;
    s.total[r] = soften_part(a, SeenKeys(ranges[r]), s.scores + r * kPartKeys, highest[r], part,
                             s.weights + r * part.sets() * kPartPairs);
  }
}

/// R pairs against one part, packed or as it lies; ranges are of keys inside it.
template <int R, class Form, class Part>
void attend_pairs(const AttentionArgs& a, const KeyRange* ranges, const Part& part,
                  PartScratch<Form>& s) {
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
  soften_rows<R>(a, ranges, part, s);
  for (int i = 0; i < R * padded; i += 16) _mm512_store_ps(s.sums + i, _mm512_setzero_ps());
  // Pairs of keys that all rows see are added together, the others row by row, each row's in
  // ascending order.
  if (common.empty()) common = {kPartPairs, kPartPairs};
  const auto add_alone = [&](int r, KeyRange pairs) {
    add_row(s.weights + r * part.sets() * kPartPairs, part, pairs, ranges[r], s.sums + r * padded,
            padded);
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
template <class Form>
typename Form::Packed pack_part(const AttentionArgs& a, const AttentionTile& t, std::int64_t part,
                                KeyRange seen, int place, PartScratch<Form>& s) {
  typename Form::Packed packed(a, s.keys + place * Form::padded_units(a) * kPartKeys,
                               s.values + place * kPartPairs * padded_dim<V>(a));
  for (int key = seen.begin / kKeyBlock * kKeyBlock; key < seen.end; key += kKeyBlock) {
    const std::int64_t block = (part * kPartKeys + key) / kKeyBlock;
    BlockRows next{};
    if (key + kKeyBlock < seen.end) next = block_rows(a, t, a.k, a.k_stride, block + 1);
    packed.take(a, key, inside(seen.begin, seen.end, key, kKeyBlock),
                block_rows(a, t, a.k, a.k_stride, block), block_rows(a, t, a.v, a.v_stride, block),
                next, s.rows);
  }
  return packed;
}

/// The pairs from `first` on, as many as are multiplied together, against a part of the keys.
template <class Form, class Part>
void attend_some(const TilePairs& pairs, int first, std::int64_t part, const Part& keys,
                 PartScratch<Form>& s) {
  using Attend = void (*)(const AttentionArgs&, const KeyRange*, const Part&, PartScratch<Form>&);
  static constexpr Attend kByPairs[kPairsTogether] = {
      attend_pairs<1, Form, Part>, attend_pairs<2, Form, Part>, attend_pairs<3, Form, Part>,
      attend_pairs<4, Form, Part>, attend_pairs<5, Form, Part>, attend_pairs<6, Form, Part>};
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
template <class Form, class Gather>
void attend_parts(const TilePairs& pairs, std::int64_t part, std::int64_t part_end,
                  std::int64_t begin, std::int64_t end, PartScratch<Form>& s,
                  const Gather& gather) {
  const AttentionArgs& a = pairs.a;
  const int count = pairs.t.pairs, padded = padded_dim<V>(a);
  const auto seen_of = [&](std::int64_t i) { return inside(begin, end, i * kPartKeys, kPartKeys); };
  const auto gather_some = [&](int first) {
    for (int r = 0; r < some_of(pairs, first); r++) {
      gather(first + r, {s.sums + r * padded, s.largest + r, s.total + r});
    }
  };
  if constexpr (Form::kPaged) {
    // Packing pays when it is used more than once.
    if (count <= kPairsTogether && Form::Paged::fits(a)) {
      Form::load_queries(pairs, 0, count, s.q);
      for (; part < part_end; part++) {
        if (seen_of(part).empty()) continue;
        attend_some(pairs, 0, part, typename Form::Paged(a, pairs.t, part, seen_of(part)), s);
        gather_some(0);
      }
      return;
    }
  }
  typename Form::Packed packed[Form::kMaxUnits / 16];  // a head's keys are 16 units at least
  for (std::int64_t i = part; i < part_end; i++) {
    packed[i - part] = pack_part(a, pairs.t, i, seen_of(i), int(i - part), s);
  }
  for (int pair = 0; pair < count; pair += kPairsTogether) {
    Form::load_queries(pairs, pair, some_of(pairs, pair), s.q);
    for (std::int64_t i = part; i < part_end; i++) {
      if (seen_of(i).empty()) continue;
      attend_some(pairs, pair, i, packed[i - part], s);
      gather_some(pair);
    }
  }
}

template <class Form>
void attend_in_parts(const AttentionArgs& a, const AttentionTile& t) {
  static_assert(sizeof(PartScratch<Form>) <= kBf16ScratchBytes);
  PartScratch<Form>& s = *static_cast<PartScratch<Form>*>(t.scratch);
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
  const std::int64_t last = (end + kPartKeys - 1) / kPartKeys, together = parts_together<Form>(a);
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

}  // namespace
}  // namespace chiasm::kernels::cpu
