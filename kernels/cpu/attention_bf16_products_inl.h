#pragma once
/// The products of bfloat16 attention: scores from keys, sums from values, of a part of 512 keys
/// that is packed or still lies in pages. Both forms add in the same order, bit for bit.
///
/// For files compiled for AVX-512 BF16. Pairs of bfloat16 lie in the bits of floats ("units").
#include <cstdint>

#include "kernels/cpu/attention_block_inl.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::kernels::cpu {
namespace {

using V = VecAvx512;

constexpr int kPartPairs = kPartKeys / 2;
constexpr int kMaxUnits = kMaxHeadDim / 2;

/// Units of a row that hold dimensions, and the same as whole vectors.
inline int units_of(const AttentionArgs& a) { return int(a.head_dim + 1) / 2; }
inline int padded_units(const AttentionArgs& a) { return int(a.head_dim + 31) / 32 * 16; }

inline __m512 add_product(__m512 sum, __m512 a, __m512 b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
}

inline __m512 narrow(__m512 low, __m512 high) {
  return _mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(high, low));
}

inline __mmask16 lanes_of(int left) { return left >= 16 ? 0xffff : left <= 0 ? 0 : V::first(left); }

/// 16 values of a row, zeros where not in `mask`.
inline __m256i load_values(const BlockRows& rows, int key, int at, __mmask16 mask) {
  if (rows.bf16) {
    const auto* from = static_cast<const std::uint16_t*>(rows.data) + key * rows.stride + at;
    return _mm256_maskz_loadu_epi16(mask, from);
  }
  const float* from = static_cast<const float*>(rows.data) + key * rows.stride + at;
  return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
}

/// The units of two rows' values: one row's in the low halves, the other's in the high ones.
inline __m512 side_by_side(__m256i low, __m256i high) {
  return _mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(low),
                                             _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16)));
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

/// Lines of memory from `from` on, wanted soon: pages are too short for the CPU to foresee.
inline void fetch(const void* from, int lines) {
  for (int i = 0; i < lines; i++) {
    _mm_prefetch(static_cast<const char*>(from) + i * 64, _MM_HINT_T0);
  }
}

/// The same, bit for bit, from keys not yet transposed, [key][units]; units % 16 == 0. Meanwhile
/// asks for the block's values and the next block's keys, of the same size, which come from memory.
template <int R>
void score_rows(const float* q, const float* keys, int units, const void* values, const void* next,
                float* scores) {
  constexpr int kVectors = R <= 3 ? 4 : 2;  // what the registers hold beside 16 keys
  for (int key = 0; key < kKeyBlock; key += kVectors * 16) {
    __m512 sums[R][kVectors];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) sums[r][j] = _mm512_setzero_ps();
    }
    for (int u = 0; u < units; u += 16) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) {
        const int at = ((key + j * 16) * units + u * 16) * int(sizeof(float));
        fetch(static_cast<const char*>(values) + at, 16);
        fetch(static_cast<const char*>(next) + at, 16);
        V k[16];
        load_transposed(keys + (key + j * 16) * units + u, units, k);
#pragma GCC unroll 16
        for (int c = 0; c < 16; c++) {
#pragma GCC unroll 6
          for (int r = 0; r < R; r++) {
            sums[r][j] = add_product(sums[r][j], _mm512_set1_ps(q[r * kMaxUnits + u + c]), k[c].v);
          }
        }
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) {
        _mm512_store_ps(scores + r * kPartKeys + key + j * 16, sums[r][j]);
      }
    }
  }
}

/// A part as many rows want it.
struct PackedPart {
  const float* keys;    // by blocks: [unit][key]
  const float* values;  // [pair of keys][padded dim]
  int units, padded_units, padded_dim;

  template <int R>
  void score(const float* q, int key, float* scores) const {
    score_block<R>(q, keys + std::int64_t(key) * padded_units, units, scores);
  }
  /// N vectors of a pair's values, from dimension `at` on.
  template <int N>
  void load_values(int pair, int at, __m512 (&v)[N]) const {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) v[j] = _mm512_load_ps(values + pair * padded_dim + at + j * 16);
  }
};

/// A part where it lies: for so few rows that writing it packed would cost more than using it.
struct PagedPart {
  const float* keys[kPartKeys / kKeyBlock + 1];        // by blocks: [key][unit]; one more, to fetch
  const std::uint16_t* values[kPartKeys / kKeyBlock];  // by blocks: [key][dim]
  int dim;

  static bool fits(const AttentionArgs& a) { return a.paged && a.bf16 && a.head_dim % 32 == 0; }

  template <int R>
  void score(const float* q, int key, float* scores) const {
    const int block = key / kKeyBlock;
    score_rows<R>(q, keys[block], dim / 2, values[block], keys[block + 1], scores);
  }
  const std::uint16_t* first_of(int pair) const {
    constexpr int kBlockPairs = kKeyBlock / 2;
    return values[pair / kBlockPairs] + std::int64_t(pair % kBlockPairs) * 2 * dim;
  }
  void load_values(int pair, int at, __m512 (&v)[1]) const {
    const std::uint16_t* from = first_of(pair) + at;
    v[0] = side_by_side(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + dim)));
  }
  void load_values(int pair, int at, __m512 (&v)[4]) const {
    const std::uint16_t* from = first_of(pair) + at;
    const __m512i lower = _mm512_set_epi16(  // dimensions 0 to 15 of both rows, in turns
        47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4,
        35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i upper = _mm512_add_epi16(lower, _mm512_set1_epi16(16));
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
      const __m512i low = _mm512_loadu_si512(from + j * 32);
      const __m512i high = _mm512_loadu_si512(from + dim + j * 32);
      v[2 * j] = _mm512_castsi512_ps(_mm512_permutex2var_epi16(low, lower, high));
      v[2 * j + 1] = _mm512_castsi512_ps(_mm512_permutex2var_epi16(low, upper, high));
    }
  }
};

/// sums[r][c] += sum over pairs of keys of weights[r][pair] * values[pair][c], N vectors of
/// columns.
template <int R, int N, class Part>
void add_columns(const float* weights, const Part& part, int column, KeyRange pairs, float* sums,
                 int padded) {
  __m512 acc[R][N];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) acc[r][j] = _mm512_load_ps(sums + r * padded + j * 16);
  }
  for (int pair = pairs.begin; pair < pairs.end; pair++) {
    __m512 v[N];
    part.load_values(pair, column, v);
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
    const __m512 weight = _mm512_set1_ps(weights[pair]);
    for (int c = 0; c < padded; c += 16) {
      __m512 v[1];
      part.load_values(pair, c, v);
      v[0] = _mm512_and_ps(mask, v[0]);
      _mm512_store_ps(sums + c, add_product(_mm512_load_ps(sums + c), weight, v[0]));
    }
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
