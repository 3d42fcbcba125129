#pragma once
/// Products of bfloat16 pairs, which lie in the bits of floats ("units"), and with them the sums of
/// weighted values of a part of 512 keys. For files compiled for AVX-512 BF16.
#include <cstdint>

#include "kernels/cpu/attention_block_inl.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::kernels::cpu {
namespace {

using V = VecAvx512;

constexpr int kPartPairs = kPartKeys / 2;

inline __m512 add_product(__m512 sum, __m512 a, __m512 b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
}

inline __m512 narrow(__m512 low, __m512 high) {
  return _mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(high, low));
}

inline __mmask16 lanes_of(int left) { return left >= 16 ? 0xffff : left <= 0 ? 0 : V::first(left); }

/// The units of two rows' values: one row's in the low halves, the other's in the high ones.
inline __m512 side_by_side(__m256i low, __m256i high) {
  return _mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(low),
                                             _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16)));
}

/// Lines of memory from `from` on, wanted soon: pages are too short for the CPU to foresee.
inline void fetch(const void* from, int lines) {
  for (int i = 0; i < lines; i++) {
    _mm_prefetch(static_cast<const char*>(from) + i * 64, _MM_HINT_T0);
  }
}

/// sums[r][c] += sum over pairs of keys of weights[r][set of c][pair] * values[pair][c], N vectors
/// of columns. A row has part.sets() sets of weights, each for Part::kSharedColumns columns.
template <int R, int N, class Part>
void add_columns(const float* weights, const Part& part, int column, KeyRange pairs, float* sums,
                 int padded) {
  __m512 acc[R][N];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) acc[r][j] = _mm512_load_ps(sums + r * padded + j * 16);
  }
  const float* const set = weights + column / Part::kSharedColumns * kPartPairs;
  for (int pair = pairs.begin; pair < pairs.end; pair++) {
    __m512 v[N];
    part.load_values(pair, column, v);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < N; j++) {  // `column` is a multiple of N vectors
        const float* own = set + (r * part.sets() + j * 16 / Part::kSharedColumns) * kPartPairs;
        acc[r][j] = add_product(acc[r][j], _mm512_set1_ps(own[pair]), v[j]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) _mm512_store_ps(sums + r * padded + j * 16, acc[r][j]);
  }
}

template <int R, class Part>
void add_pairs(const float* weights, const Part& part, KeyRange pairs, float* sums, int padded) {
  int c = 0;
  for (; c + 64 <= padded; c += 64) add_columns<R, 4>(weights, part, c, pairs, sums + c, padded);
  for (; c < padded; c += 16) add_columns<R, 1>(weights, part, c, pairs, sums + c, padded);
}

/// The same for one row, whose keys may begin or end amid a pair: its values that the row does not
/// see count as zeros, whatever they are.
template <class Part>
void add_row(const float* weights, const Part& part, KeyRange pairs, KeyRange own, float* sums,
             int padded) {
  for (int pair = pairs.begin; pair < pairs.end; pair++) {
    const unsigned low = 2 * pair >= own.begin ? 0xffffu : 0;
    const unsigned high = 2 * pair + 1 < own.end ? 0xffff0000u : 0;
    const __m512 mask = _mm512_castsi512_ps(_mm512_set1_epi32(int(low | high)));
    for (int c = 0; c < padded; c += 16) {
      const __m512 weight = _mm512_set1_ps(weights[c / Part::kSharedColumns * kPartPairs + pair]);
      __m512 v[1];
      part.load_values(pair, c, v);
      v[0] = _mm512_and_ps(mask, v[0]);
      _mm512_store_ps(sums + c, add_product(_mm512_load_ps(sums + c), weight, v[0]));
    }
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
