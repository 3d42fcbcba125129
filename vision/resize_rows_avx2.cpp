/// Rows of a torchvision resize with AVX2. Intrinsics and plain structs only.
#include <immintrin.h>

#include "vision/resize_rows.h"

namespace chiasm::vision {

namespace {

/// A pair of neighbouring 16-bit weights in every 32-bit lane.
inline __m256i weight_pair(const std::int16_t* weights) {
  int pair;
  __builtin_memcpy(&pair, weights, sizeof(pair));
  return _mm256_set1_epi32(pair);
}

/// Eight taps a step: pixels 0 to 3 in the low half, 4 to 7 in the high half, each as the pairs
/// (r0, r1) (g0, g1) (b0, b1) of 16-bit values, which _mm256_madd_epi16 multiplies and adds.
void horizontal(const std::uint8_t* row, const AxisView<std::int16_t>& axis, std::int64_t width,
                std::uint8_t* out) {
  const __m256i pixels01 = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
  const __m256i pixels23 = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
  const __m256i weights01 = _mm256_setr_epi32(0x03020100, 0x03020100, 0x03020100, 0x03020100,
                                              0x0b0a0908, 0x0b0a0908, 0x0b0a0908, 0x0b0a0908);
  const __m256i weights23 = _mm256_setr_epi32(0x07060504, 0x07060504, 0x07060504, 0x07060504,
                                              0x0f0e0d0c, 0x0f0e0d0c, 0x0f0e0d0c, 0x0f0e0d0c);
  const __m128i half = _mm_set1_epi32(1 << (axis.bits - 1));
  for (std::int64_t x = 0; x < width; x++) {
    const std::uint8_t* from = row + 3 * std::int64_t(axis.first[x]);
    const std::int16_t* weights = axis.weights + x * axis.stride;
    __m256i sum = _mm256_setzero_si256();
    for (std::int64_t k = 0; k < axis.count[x]; k += 8) {
      const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 3 * k));
      const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 3 * k + 12));
      const __m256i pixels = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
      const __m256i w = _mm256_broadcastsi128_si256(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + k)));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pixels01),
                                                    _mm256_shuffle_epi8(w, weights01)));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pixels23),
                                                    _mm256_shuffle_epi8(w, weights23)));
    }
    __m128i rgb = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    rgb = _mm_srai_epi32(_mm_add_epi32(rgb, half), axis.bits);
    rgb = _mm_packs_epi32(rgb, rgb);
    const auto packed = std::uint32_t(_mm_cvtsi128_si32(_mm_packus_epi16(rgb, rgb)));
    out[3 * x] = std::uint8_t(packed);
    out[3 * x + 1] = std::uint8_t(packed >> 8);
    out[3 * x + 2] = std::uint8_t(packed >> 16);
  }
}

inline __m256i load(const std::uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

/// 32 bytes at a time, two rows a step.
void vertical(const std::uint8_t* image, const AxisView<std::int16_t>& axis, std::int64_t y,
              std::int64_t bytes, std::uint8_t* out) {
  const std::uint8_t* rows = image + axis.first[y] * bytes;
  const std::int16_t* weights = axis.weights + y * axis.stride;
  const std::int64_t count = axis.count[y];
  const __m256i zero = _mm256_setzero_si256(), half = _mm256_set1_epi32(1 << (axis.bits - 1));
  std::int64_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    __m256i sum[4] = {half, half, half, half};
    for (std::int64_t k = 0; k < count; k += 2) {
      const __m256i a = load(rows + k * bytes + at);
      const __m256i b = k + 1 < count ? load(rows + (k + 1) * bytes + at) : zero;
      const __m256i w = weight_pair(weights + k);
      const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
      const __m256i pairs[4] = {_mm256_unpacklo_epi8(low, zero), _mm256_unpackhi_epi8(low, zero),
                                _mm256_unpacklo_epi8(high, zero), _mm256_unpackhi_epi8(high, zero)};
      for (int i = 0; i < 4; i++) {
        sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs[i], w));
      }
    }
    for (__m256i& s : sum) s = _mm256_srai_epi32(s, axis.bits);
    const __m256i packed =
        _mm256_packus_epi16(_mm256_packs_epi32(sum[0], sum[1]), _mm256_packs_epi32(sum[2], sum[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at), packed);
  }
  for (; at < bytes; at++) {
    int sum = 1 << (axis.bits - 1);
    for (std::int64_t k = 0; k < count; k++) sum += weights[k] * rows[k * bytes + at];
    sum >>= axis.bits;
    out[at] = std::uint8_t(sum < 0 ? 0 : sum > 255 ? 255 : sum);
  }
}

}  // namespace

RowKernels<std::int16_t> row_kernels_avx2() { return {horizontal, vertical}; }

}  // namespace chiasm::vision
