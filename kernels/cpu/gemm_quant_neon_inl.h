#pragma once
/// Product of quantized weights and int8 activations by NEON. `Dot` adds to four sums the products
/// of four int8 each; it is what differs between processors.
#include <arm_neon.h>

#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/quant_layout.h"
#include "kernels/cpu/simd_neon.h"

namespace chiasm::kernels::cpu {
namespace {

constexpr int kRows = 4;
constexpr int kVec = 4;                // outputs of a vector
constexpr std::int64_t kAhead = 4096;  // bytes that a stream prefetches ahead

struct Q8 {
  static constexpr int kBlock = kQ8Block, kScales = kQ8Scales;
  static constexpr bool kHasMin = false;
  template <int J>
  static int8x16_t weights(const std::uint8_t* block) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(block + 64 * J), vdupq_n_u8(kQ8Offset)));
  }
};

struct Q4 {
  static constexpr int kBlock = kQ4Block, kScales = kQ4Scales;
  static constexpr bool kHasMin = true;
  template <int J>
  static int8x16_t weights(const std::uint8_t* block) {
    const uint8x16_t pairs = vld1q_u8(block + 64 * (J / 2));
    return vreinterpretq_s8_u8(J % 2 == 0 ? vandq_u8(pairs, vdupq_n_u8(15)) : vshrq_n_u8(pairs, 4));
  }
};

inline float32x4_t load_halves(const std::uint8_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

// Step J of 32 inputs: V vectors of one block times R rows, whose activations are kStride apart.
template <class Q, class Dot, int kStride, int J, int R, int V>
inline __attribute__((always_inline)) void step(const std::int8_t* x, const std::uint8_t* b,
                                                int32x4_t (&dot)[R][V]) {
#pragma GCC unroll 4
  for (int v = 0; v < V; v++) {
    const int8x16_t w = Q::template weights<J>(b + 16 * v);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const auto* four = reinterpret_cast<const std::int32_t*>(x + r * kStride + 4 * J);
      dot[r][v] = Dot::add(dot[r][v], w, vreinterpretq_s8_s32(vld1q_dup_s32(four)));
    }
  }
}

template <class Q, class Dot, int kStride, int R, int V>
inline __attribute__((always_inline)) void steps(const std::int8_t* x, const std::uint8_t* b,
                                                 int32x4_t (&dot)[R][V]) {
  step<Q, Dot, kStride, 0>(x, b, dot);
  step<Q, Dot, kStride, 1>(x, b, dot);
  step<Q, Dot, kStride, 2>(x, b, dot);
  step<Q, Dot, kStride, 3>(x, b, dot);
  step<Q, Dot, kStride, 4>(x, b, dot);
  step<Q, Dot, kStride, 5>(x, b, dot);
  step<Q, Dot, kStride, 6>(x, b, dot);
  step<Q, Dot, kStride, 7>(x, b, dot);
}

// One group: sum += (scale of weights * scale of activations) * dot (+ min * their sum). `b` points
// at the weights, `scale` at the float16 numbers of the same vectors.
template <class Q, class Dot, int R, int V>
inline __attribute__((always_inline)) void group(const std::int8_t* a, const std::uint8_t* b,
                                                 const std::uint8_t* scale,
                                                 float32x4_t (&sum)[R][V]) {
  const auto* scales = reinterpret_cast<const float*>(a + R * kGroup);
  const auto* sums = scales + R;
  int32x4_t dot[R][V];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) dot[r][v] = vdupq_n_s32(0);
  }
  steps<Q, Dot, kGroup>(a, b, dot);
#pragma GCC unroll 4
  for (int v = 0; v < V; v++) {
    const float32x4_t w = load_halves(scale + 8 * v);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      sum[r][v] = vfmaq_f32(sum[r][v], vmulq_n_f32(w, scales[r]), vcvtq_f32_s32(dot[r][v]));
    }
    if constexpr (Q::kHasMin) {
      const float32x4_t min = load_halves(scale + kQ4Minima - kQ4Scales + 8 * v);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) sum[r][v] = vfmaq_n_f32(sum[r][v], min, sums[r]);
    }
  }
}

// R rows times V vectors of a panel, beginning at vector `first` of its block `block`; see Tile.
template <class Q, class Dot, int R, int V, bool kStream>
void multiply(const Tile& t, int block, int first) {
  float* const c = t.c + block * kLanes + first * kVec;
  float32x4_t sum[R][V];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      sum[r][v] = t.resume ? vld1q_f32(c + r * kPanel + v * kVec) : vdupq_n_f32(0.0f);
    }
  }
  const auto* a = static_cast<const std::int8_t*>(t.a);
  const auto* b = static_cast<const std::uint8_t*>(t.b) + block * Q::kBlock;
  const std::int64_t groups = (t.k + kGroup - 1) / kGroup;
  const std::int64_t b_step = std::int64_t(t.width / kLanes) * Q::kBlock;
  for (std::int64_t g = 0; g < groups; g++, a += R * kQuantUnit, b += b_step) {
    if constexpr (kStream) {
      for (int line = 0; line < Q::kBlock; line += 64) __builtin_prefetch(b + kAhead + line);
    }
    group<Q, Dot>(a, b + 16 * first, b + Q::kScales + 8 * first, sum);
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) vst1q_f32(c + r * kPanel + v * kVec, sum[r][v]);
  }
}

template <class Q, class Dot, int R, bool kStream>
void multiply_rows(const Tile& t) {
  constexpr int kVectors = R <= 2 ? 4 : 2;
  for (int block = 0; block < t.width / kLanes; block++) {
    for (int first = 0; first < kLanes / kVec; first += kVectors) {
      multiply<Q, Dot, R, kVectors, kStream>(t, block, first);
    }
  }
}

template <class Q, class Dot, bool kStream>
void tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[kRows] = {
      multiply_rows<Q, Dot, 1, kStream>, multiply_rows<Q, Dot, 2, kStream>,
      multiply_rows<Q, Dot, 3, kStream>, multiply_rows<Q, Dot, 4, kStream>};
  kByRows[t.rows - 1](t);
}

// How a group is narrowed: q = x * inverse, or 0 where the group is not finite.
struct Step {
  float scale, inverse;
  int32x4_t finite;
};

// The largest magnitude among bit patterns, where NaN is the largest.
inline float largest_bits(const float* x, int count) {
  uint32x4_t bits = vdupq_n_u32(0);
  for (int i = 0; i < count; i += 4) {
    bits = vmaxq_u32(bits, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
  }
  return vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(vmaxvq_u32(bits))), 0);
}

// With infinity or NaN in the group its scale becomes that, its numbers 0.
inline Step step_of(float top) {
  return {top / 127.0f, top > kSmallestGroup ? 127.0f / top : 0.0f,
          vdupq_n_s32(top <= kLargestFloat ? -1 : 0)};
}

// Returns their sums, two to a lane.
inline int32x4_t narrow_eight(const float* x, const Step& step, std::int8_t* q) {
  const float32x4_t first = vmulq_n_f32(vld1q_f32(x), step.inverse);
  const float32x4_t second = vmulq_n_f32(vld1q_f32(x + 4), step.inverse);
  const int32x4_t a = vandq_s32(vcvtnq_s32_f32(first), step.finite);
  const int32x4_t b = vandq_s32(vcvtnq_s32_f32(second), step.finite);
  vst1_s8(q, vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b))));
  return vaddq_s32(a, b);
}

// One group of 32 numbers.
template <class Q>
void quantize(const float* x, std::int8_t* q, float* scale, std::int8_t* correction) {
  const Step step = step_of(largest_bits(x, kGroup));
  int32x4_t sums = vdupq_n_s32(0);
  for (int i = 0; i < kGroup; i += 8) sums = vaddq_s32(sums, narrow_eight(x + i, step, q + i));
  *scale = step.scale;
  if constexpr (Q::kHasMin) {
    *reinterpret_cast<float*>(correction) = *scale * float(vaddvq_s32(sums));
  } else {
    *reinterpret_cast<std::int32_t*>(correction) = 0;  // weights are signed here
  }
}

template <class Q>
void pack_rows(const PackRows& p) {
  auto* out = static_cast<std::int8_t*>(p.out);
  for (std::int64_t k = 0; k < p.k; k += kGroup, out += p.rows * kQuantUnit) {
    auto* const scales = reinterpret_cast<float*>(out + p.rows * kGroup);
    std::int8_t* const corrections = out + p.rows * (kGroup + 4);
    for (int r = 0; r < p.rows; r++) {
      const float* x = p.x + r * p.x_stride + k;
      float rest[kGroup] = {};
      if (p.k - k < kGroup) {
        for (int i = 0; i < p.k - k; i++) rest[i] = x[i];
        x = rest;
      }
      quantize<Q>(x, out + r * kGroup, scales + r, corrections + 4 * r);
    }
  }
}

template <class Q, class Dot>
constexpr GemmKernel kKernel = {
    kRows,          kGroup, kQuantUnit, pack_rows<Q>, tile<Q, Dot, false>, tile<Q, Dot, true>,
    finish<VecNeon>};

}  // namespace
}  // namespace chiasm::kernels::cpu
