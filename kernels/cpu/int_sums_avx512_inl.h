#pragma once
/// From integer sums to floats without a conversion. For AVX-512.
#include <immintrin.h>

#include <cstdint>

namespace chiasm::kernels::cpu {
namespace {

/// Where integer sums begin: the bits of 1.5 * 2^23. As long as a sum stays below 2^22, those bits
/// and the sum are, as a float, that number plus the sum. Subtracting it is exact and is done by
/// the units that add; a conversion would hold up those that multiply (measured on Zen 5).
constexpr std::int32_t kSumOrigin = 0x4b400000;
inline __m512 sum_of(__m512i counted) {
  const __m512 origin = _mm512_castsi512_ps(_mm512_set1_epi32(kSumOrigin));
  return _mm512_sub_ps(_mm512_castsi512_ps(counted), origin);
}

}  // namespace
}  // namespace chiasm::kernels::cpu
