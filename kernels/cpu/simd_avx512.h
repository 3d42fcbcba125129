#pragma once
/// Sixteen float32 lanes in AVX-512 registers. The three simd_*.h headers give the same set of
/// operations, so that a kernel body is written once as a template over the vector.
/// Everything is in an anonymous namespace: code compiled with instruction-set flags must not
/// become the copy that the linker keeps for everyone.
#include <immintrin.h>

#include <cstdint>

namespace chiasm::kernels::cpu {
namespace {

struct VecAvx512 {
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
  using Mask = __mmask16;
  __m512 v;

  static VecAvx512 zero() { return {_mm512_setzero_ps()}; }
  static VecAvx512 set(float x) { return {_mm512_set1_ps(x)}; }
  static VecAvx512 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  /// The first `n` lanes, 0 <= n <= kLanes; the others are 0 and their memory is not read.
  static VecAvx512 load_first(const float* p, int n) {
    return {_mm512_maskz_loadu_ps(first(n), p)};
  }
  /// Widens bfloat16.
  static VecAvx512 load_bf16(const std::uint16_t* p) {
    const __m512i wide =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
  }
  /// Widens int8.
  static VecAvx512 load_int8(const std::int8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_first(float* p, int n) const { _mm512_mask_storeu_ps(p, first(n), v); }

  /// True in lanes [begin, end), which may reach beyond the vector.
  static Mask between(int begin, int end) {
    begin = begin < 0 ? 0 : begin > kLanes ? kLanes : begin;
    end = end < begin ? begin : end > kLanes ? kLanes : end;
    return Mask(((1u << end) - 1u) & ~((1u << begin) - 1u));
  }
  static Mask first(int n) { return Mask((1u << n) - 1u); }
};

inline VecAvx512 operator+(VecAvx512 a, VecAvx512 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline VecAvx512 operator-(VecAvx512 a, VecAvx512 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline VecAvx512 operator*(VecAvx512 a, VecAvx512 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline VecAvx512 operator/(VecAvx512 a, VecAvx512 b) { return {_mm512_div_ps(a.v, b.v)}; }
/// a * b + c, fused.
inline VecAvx512 fma(VecAvx512 a, VecAvx512 b, VecAvx512 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
/// a < b ? a : b, so b where either is NaN.
inline VecAvx512 min(VecAvx512 a, VecAvx512 b) { return {_mm512_min_ps(a.v, b.v)}; }
/// a > b ? a : b, so b where either is NaN.
inline VecAvx512 max(VecAvx512 a, VecAvx512 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline VecAvx512 abs(VecAvx512 a) { return {_mm512_abs_ps(a.v)}; }
/// |a| with the sign of b.
inline VecAvx512 copysign(VecAvx512 a, VecAvx512 b) {
  const __m512 sign = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(sign, a.v), _mm512_and_ps(sign, b.v))};
}
inline __mmask16 less(VecAvx512 a, VecAvx512 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
inline __mmask16 equal(VecAvx512 a, VecAvx512 b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ);
}
inline bool any(__mmask16 m) { return m != 0; }
inline VecAvx512 select(__mmask16 m, VecAvx512 yes, VecAvx512 no) {
  return {_mm512_mask_blend_ps(m, no.v, yes.v)};
}
/// To the nearest integer, ties to even.
inline VecAvx512 round(VecAvx512 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/// a * 2^n for an integral n in [-200, 200], rounded once (subnormals included).
inline VecAvx512 times_power_of_two(VecAvx512 a, VecAvx512 n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}
/// The lower 12 bits of the mantissa cleared: the square of the result is exact.
inline VecAvx512 upper_half(VecAvx512 a) {
  return {_mm512_castsi512_ps(
      _mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(int(0xfffff000u))))};
}
/// Sum of all lanes, always in the same order.
inline float sum(VecAvx512 a) {
  const __m256 upper = _mm512_extractf32x8_ps(a.v, 1);
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), upper);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}
inline float largest(VecAvx512 a) {
  const __m256 upper = _mm512_extractf32x8_ps(a.v, 1);
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), upper);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_shuffle_ps(four, four, 1)));
}
/// out[c] lane r = src[r * stride + c] for r, c < kLanes.
inline void load_transposed(const float* src, std::int64_t stride, VecAvx512 (&out)[16]) {
  const float* first = src;
  const float* fifth = src + 4 * stride;
  const float* ninth = src + 8 * stride;
  const float* thirteenth = src + 12 * stride;
  // Hides where the pointers come from: GCC 12 would keep all 64 addresses, and spill them.
  asm("" : "+r"(first), "+r"(fifth), "+r"(ninth), "+r"(thirteenth));
  // Quarter rows of rows r, r+4, r+8, r+12 side by side leave two rounds of in-lane shuffles.
#pragma GCC unroll 4
  for (int c = 0; c < 16; c += 4) {
    __m512 a[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++) {
      const std::int64_t at = r * stride + c;
      __m512 quarters = _mm512_castps128_ps512(_mm_loadu_ps(first + at));
      quarters = _mm512_insertf32x4(quarters, _mm_loadu_ps(fifth + at), 1);
      quarters = _mm512_insertf32x4(quarters, _mm_loadu_ps(ninth + at), 2);
      a[r] = _mm512_insertf32x4(quarters, _mm_loadu_ps(thirteenth + at), 3);
    }
    const __m512 low01 = _mm512_unpacklo_ps(a[0], a[1]), high01 = _mm512_unpackhi_ps(a[0], a[1]);
    const __m512 low23 = _mm512_unpacklo_ps(a[2], a[3]), high23 = _mm512_unpackhi_ps(a[2], a[3]);
    out[c] = {_mm512_shuffle_ps(low01, low23, 0x44)};
    out[c + 1] = {_mm512_shuffle_ps(low01, low23, 0xee)};
    out[c + 2] = {_mm512_shuffle_ps(high01, high23, 0x44)};
    out[c + 3] = {_mm512_shuffle_ps(high01, high23, 0xee)};
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
