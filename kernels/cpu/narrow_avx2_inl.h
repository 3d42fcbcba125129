#pragma once
/// Activations as int8 groups by AVX2: what the quantized products pack their rows with.
#include <immintrin.h>

#include "kernels/cpu/quant_layout.h"

namespace chiasm::kernels::cpu {
namespace {

/// Largest of 8 signed numbers.
inline int largest(__m256i v) {
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

/// How a group is narrowed: q = x * inverse, or 0 where the group is not finite.
struct Step {
  float scale;
  __m256 inverse;
  __m256i finite;
};

/// The step of `count` numbers, a multiple of 8. The largest magnitude is found among bit patterns,
/// where NaN is the largest: the group's scale becomes NaN, its numbers 0.
inline Step step_of(const float* x, int count) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256i bits = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (int i = 0; i < count; i += 8) {
    const __m256 v = _mm256_and_ps(_mm256_loadu_ps(x + i), magnitude);
    bits = _mm256_max_epi32(bits, _mm256_castps_si256(v));
  }
  const float top = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(largest(bits))));
  return {top / 127.0f, _mm256_set1_ps(top > kSmallestGroup ? 127.0f / top : 0.0f),
          _mm256_set1_epi32(top <= kLargestFloat ? -1 : 0)};
}

/// Narrows 32 numbers; returns their sums, four to a lane.
inline __m256i narrow(const float* x, const Step& step, char* q) {
  __m256i n[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m256 steps = _mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), step.inverse);
    n[i] = _mm256_and_si256(_mm256_cvtps_epi32(steps), step.finite);
  }
  // Packing works inside halves; the permutation puts the quarters back in order.
  const __m256i packed =
      _mm256_packs_epi16(_mm256_packs_epi32(n[0], n[1]), _mm256_packs_epi32(n[2], n[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm256_permutevar8x32_epi32(packed, order));
  return _mm256_add_epi32(_mm256_add_epi32(n[0], n[1]), _mm256_add_epi32(n[2], n[3]));
}

}  // namespace
}  // namespace chiasm::kernels::cpu
