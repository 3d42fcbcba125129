#pragma once
/// Four float32 lanes in ARM NEON registers; see simd_avx512.h for what each operation promises.
#include <arm_neon.h>

#include <cstdint>

namespace chiasm::kernels::cpu {
namespace {

struct MaskNeon {
  uint32x4_t v;  // all bits set in true lanes
};

struct VecNeon {
  static constexpr int kLanes = 4;
  static constexpr int kRegisters = 32;
  using Mask = MaskNeon;
  float32x4_t v;

  static VecNeon zero() { return set(0.0f); }
  static VecNeon set(float x) { return {vdupq_n_f32(x)}; }
  static VecNeon load(const float* p) { return {vld1q_f32(p)}; }
  static VecNeon load_first(const float* p, int n) {
    float lanes[kLanes] = {};
    for (int i = 0; i < n; i++) lanes[i] = p[i];
    return load(lanes);
  }
  static VecNeon load_bf16(const std::uint16_t* p) {
    return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))};
  }
  static VecNeon load_int8(const std::int8_t* p) {
    std::int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)))};
  }
  void store(float* p) const { vst1q_f32(p, v); }
  void store_first(float* p, int n) const {
    float lanes[kLanes];
    store(lanes);
    for (int i = 0; i < n; i++) p[i] = lanes[i];
  }

  static Mask between(int begin, int end) {
    constexpr std::int32_t kLane[kLanes] = {0, 1, 2, 3};
    const int32x4_t lane = vld1q_s32(kLane);
    return {vandq_u32(vcgeq_s32(lane, vdupq_n_s32(begin)), vcltq_s32(lane, vdupq_n_s32(end)))};
  }
};

inline VecNeon operator+(VecNeon a, VecNeon b) { return {vaddq_f32(a.v, b.v)}; }
inline VecNeon operator-(VecNeon a, VecNeon b) { return {vsubq_f32(a.v, b.v)}; }
inline VecNeon operator*(VecNeon a, VecNeon b) { return {vmulq_f32(a.v, b.v)}; }
inline VecNeon operator/(VecNeon a, VecNeon b) { return {vdivq_f32(a.v, b.v)}; }
inline VecNeon fma(VecNeon a, VecNeon b, VecNeon c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
inline VecNeon select(MaskNeon m, VecNeon yes, VecNeon no) { return {vbslq_f32(m.v, yes.v, no.v)}; }
inline MaskNeon less(VecNeon a, VecNeon b) { return {vcltq_f32(a.v, b.v)}; }
inline MaskNeon equal(VecNeon a, VecNeon b) { return {vceqq_f32(a.v, b.v)}; }
inline bool any(MaskNeon m) { return vmaxvq_u32(m.v) != 0; }
// NEON's own minimum and maximum would hand a NaN on from either side.
inline VecNeon min(VecNeon a, VecNeon b) { return select(less(a, b), a, b); }
inline VecNeon max(VecNeon a, VecNeon b) { return select(less(b, a), a, b); }
inline VecNeon abs(VecNeon a) { return {vabsq_f32(a.v)}; }
inline VecNeon copysign(VecNeon a, VecNeon b) {
  return {vbslq_f32(vdupq_n_u32(0x80000000u), b.v, a.v)};
}
inline VecNeon round(VecNeon a) { return {vrndnq_f32(a.v)}; }
// In two steps: the first is exact, the second rounds; each factor is a normal number.
inline VecNeon times_power_of_two(VecNeon a, VecNeon n) {
  const int32x4_t whole = vcvtnq_s32_f32(n.v), half = vshrq_n_s32(whole, 1);
  const int32x4_t bias = vdupq_n_s32(127);
  const int32x4_t first = vshlq_n_s32(vaddq_s32(half, bias), 23);
  const int32x4_t second = vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23);
  return {vmulq_f32(vmulq_f32(a.v, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second))};
}
inline VecNeon upper_half(VecNeon a) {
  return {vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a.v), vdupq_n_u32(0xfffff000u)))};
}
inline float sum(VecNeon a) {
  const float32x2_t two = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float largest(VecNeon a) {
  float lanes[VecNeon::kLanes];
  a.store(lanes);
  const float x = lanes[0] > lanes[2] ? lanes[0] : lanes[2];
  const float y = lanes[1] > lanes[3] ? lanes[1] : lanes[3];
  return x > y ? x : y;
}
inline void load_transposed(const float* src, std::int64_t stride, VecNeon (&out)[4]) {
  const float32x4_t a = vld1q_f32(src), b = vld1q_f32(src + stride);
  const float32x4_t c = vld1q_f32(src + 2 * stride), d = vld1q_f32(src + 3 * stride);
  const float64x2_t low_ab = vreinterpretq_f64_f32(vzip1q_f32(a, b));
  const float64x2_t high_ab = vreinterpretq_f64_f32(vzip2q_f32(a, b));
  const float64x2_t low_cd = vreinterpretq_f64_f32(vzip1q_f32(c, d));
  const float64x2_t high_cd = vreinterpretq_f64_f32(vzip2q_f32(c, d));
  out[0] = {vreinterpretq_f32_f64(vzip1q_f64(low_ab, low_cd))};
  out[1] = {vreinterpretq_f32_f64(vzip2q_f64(low_ab, low_cd))};
  out[2] = {vreinterpretq_f32_f64(vzip1q_f64(high_ab, high_cd))};
  out[3] = {vreinterpretq_f32_f64(vzip2q_f64(high_ab, high_cd))};
}

}  // namespace
}  // namespace chiasm::kernels::cpu
