#pragma once
/// Eight float32 lanes in AVX2 registers; see simd_avx512.h for what each operation promises.
#include <immintrin.h>

#include <cstdint>

namespace chiasm::kernels::cpu {
namespace {

struct MaskAvx2 {
  __m256i v;  // all bits set in true lanes
};

struct VecAvx2 {
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 16;
  using Mask = MaskAvx2;
  __m256 v;

  static VecAvx2 zero() { return {_mm256_setzero_ps()}; }
  static VecAvx2 set(float x) { return {_mm256_set1_ps(x)}; }
  static VecAvx2 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static VecAvx2 load_first(const float* p, int n) {
    return {_mm256_maskload_ps(p, between(0, n).v)};
  }
  static VecAvx2 load_bf16(const std::uint16_t* p) {
    const __m256i wide =
        _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
  }
  static VecAvx2 load_int8(const std::int8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))};
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store_first(float* p, int n) const { _mm256_maskstore_ps(p, between(0, n).v, v); }

  static Mask between(int begin, int end) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i below_begin = _mm256_cmpgt_epi32(_mm256_set1_epi32(begin), lane);
    const __m256i below_end = _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane);
    return {_mm256_andnot_si256(below_begin, below_end)};
  }
};

inline VecAvx2 operator+(VecAvx2 a, VecAvx2 b) { return {_mm256_add_ps(a.v, b.v)}; }
inline VecAvx2 operator-(VecAvx2 a, VecAvx2 b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline VecAvx2 operator*(VecAvx2 a, VecAvx2 b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline VecAvx2 operator/(VecAvx2 a, VecAvx2 b) { return {_mm256_div_ps(a.v, b.v)}; }
inline VecAvx2 fma(VecAvx2 a, VecAvx2 b, VecAvx2 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline VecAvx2 min(VecAvx2 a, VecAvx2 b) { return {_mm256_min_ps(a.v, b.v)}; }
inline VecAvx2 max(VecAvx2 a, VecAvx2 b) { return {_mm256_max_ps(a.v, b.v)}; }
inline VecAvx2 abs(VecAvx2 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
inline VecAvx2 copysign(VecAvx2 a, VecAvx2 b) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, a.v), _mm256_and_ps(sign, b.v))};
}
inline MaskAvx2 less(VecAvx2 a, VecAvx2 b) {
  return {_mm256_castps_si256(_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ))};
}
inline MaskAvx2 equal(VecAvx2 a, VecAvx2 b) {
  return {_mm256_castps_si256(_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ))};
}
inline bool any(MaskAvx2 m) { return _mm256_movemask_ps(_mm256_castsi256_ps(m.v)) != 0; }
inline VecAvx2 select(MaskAvx2 m, VecAvx2 yes, VecAvx2 no) {
  return {_mm256_blendv_ps(no.v, yes.v, _mm256_castsi256_ps(m.v))};
}
inline VecAvx2 round(VecAvx2 a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// In two steps: the first is exact, the second rounds; each factor is a normal number.
inline VecAvx2 times_power_of_two(VecAvx2 a, VecAvx2 n) {
  const __m256i whole = _mm256_cvtps_epi32(n.v);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i rest = _mm256_sub_epi32(whole, half);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
  return {
      _mm256_mul_ps(_mm256_mul_ps(a.v, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second))};
}
inline VecAvx2 upper_half(VecAvx2 a) {
  return {_mm256_and_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(int(0xfffff000u))))};
}
inline float sum(VecAvx2 a) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}
inline float largest(VecAvx2 a) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_shuffle_ps(four, four, 1)));
}
inline void load_transposed(const float* src, std::int64_t stride, VecAvx2 (&out)[8]) {
#pragma GCC unroll 2
  for (int c = 0; c < 8; c += 4) {
    __m256 a[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++) {
      const float* p = src + r * stride + c;
      a[r] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)),
                                  _mm_loadu_ps(p + 4 * stride), 1);
    }
    const __m256 low01 = _mm256_unpacklo_ps(a[0], a[1]), high01 = _mm256_unpackhi_ps(a[0], a[1]);
    const __m256 low23 = _mm256_unpacklo_ps(a[2], a[3]), high23 = _mm256_unpackhi_ps(a[2], a[3]);
    out[c] = {_mm256_shuffle_ps(low01, low23, 0x44)};
    out[c + 1] = {_mm256_shuffle_ps(low01, low23, 0xee)};
    out[c + 2] = {_mm256_shuffle_ps(high01, high23, 0x44)};
    out[c + 3] = {_mm256_shuffle_ps(high01, high23, 0xee)};
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
