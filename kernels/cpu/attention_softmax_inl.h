#pragma once
/// Softmax of a row over a part of 512 keys at once: nothing is rescaled on the way. For files
/// compiled for AVX-512 BF16.
#include <cstdint>

#include "kernels/cpu/attention_bf16_products_inl.h"
#include "kernels/cpu/math_inl.h"

namespace chiasm::kernels::cpu {
namespace {

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

/// The weights of 32 keys, 0 where the row does not see the key, and which it sees.
struct Softened {
  __m512 low, high;
  __mmask16 low_seen = 0xffff, high_seen = 0xffff;
};

template <bool kMasked>
inline Softened soften(const float* scores, int at, KeyRange own, const Softening& f) {
  Softened w{exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + at), f.factor, f.shift)),
             exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + at + 16), f.factor, f.shift))};
  if constexpr (kMasked) {
    w.low_seen = seen_lanes(own, at);
    w.high_seen = seen_lanes(own, at + 16);
    w.low = _mm512_maskz_mov_ps(w.low_seen, w.low);
    w.high = _mm512_maskz_mov_ps(w.high_seen, w.high);
  }
  return w;
}

/// The weights of all keys in `at`, kept by `part` as it uses them; adds their sums to `added`, two
/// chains of them.
template <bool kMasked, class Part>
void soften_keys(const float* scores, KeyRange at, KeyRange own, const Softening& f,
                 const Part& part, float* weights, __m512 (&added)[2]) {
  int i = at.begin;
  for (; i + 64 <= at.end; i += 64) {
    const Softened first = soften<kMasked>(scores, i, own, f);
    const Softened second = soften<kMasked>(scores, i + 32, own, f);
    part.keep(first, i, weights, added[0]);
    part.keep(second, i + 32, weights, added[1]);
  }
  if (i < at.end) part.keep(soften<kMasked>(scores, i, own, f), i, weights, added[0]);
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
inline float highest_score(const AttentionArgs& a, const SeenKeys& keys, float* scores) {
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

/// Softmax of one row over a part, given its highest score. Returns the sum of the weights.
template <class Part>
float soften_part(const AttentionArgs& a, const SeenKeys& keys, const float* scores, float highest,
                  const Part& part, float* weights) {
  constexpr float kLog2E = 1.44269504f;
  const float factor = score_scale(a) * kLog2E;
  const Softening f{_mm512_set1_ps(factor), _mm512_set1_ps(highest * factor)};
  __m512 added[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  soften_keys<true>(scores, keys.first, keys.own, f, part, weights, added);
  soften_keys<false>(scores, keys.inner, keys.own, f, part, weights, added);
  soften_keys<true>(scores, keys.last, keys.own, f, part, weights, added);
  return sum(V{_mm512_add_ps(added[0], added[1])});
}

}  // namespace
}  // namespace chiasm::kernels::cpu
