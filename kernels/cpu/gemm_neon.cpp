// Matrix product by NEON with float32 arithmetic.
#include <arm_neon.h>

#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd_neon.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kRows = 6;     // x 16 outputs: 24 of 32 registers hold sums
constexpr int kFewRows = 3;  // x 32 outputs
constexpr int kVec = 4;
constexpr std::int64_t kAhead = 4096;  // bytes that a stream prefetches ahead

// How a format is read; `S` is the input inside a pair.
struct F32 {
  static constexpr int kSub = 1, kBytes = 16;
  using Raw = float32x4_t;
  static Raw load(const char* b) { return vld1q_f32(reinterpret_cast<const float*>(b)); }
  template <int S>
  static float32x4_t widen(Raw b) {
    return b;
  }
};
struct F16 {
  static constexpr int kSub = 1, kBytes = 8;
  using Raw = float32x4_t;
  static Raw load(const char* b) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const std::uint16_t*>(b))));
  }
  template <int S>
  static float32x4_t widen(Raw b) {
    return b;
  }
};
struct Bf16 {
  static constexpr int kSub = 2, kBytes = 16;
  using Raw = uint32x4_t;
  static Raw load(const char* b) { return vld1q_u32(reinterpret_cast<const std::uint32_t*>(b)); }
  template <int S>
  static float32x4_t widen(Raw b) {
    return vreinterpretq_f32_u32(S == 0 ? vshlq_n_u32(b, 16)
                                        : vandq_u32(b, vdupq_n_u32(0xffff0000u)));
  }
};

template <class W, int S, int R, int V>
inline __attribute__((always_inline)) void sub_step(const float* a, const char* b,
                                                    float32x4_t (&sum)[R][V]) {
#pragma GCC unroll 8
  for (int v = 0; v < V; v++) {
    const float32x4_t wide = W::template widen<S>(W::load(b + v * W::kBytes));
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) sum[r][v] = vfmaq_n_f32(sum[r][v], wide, a[r]);
  }
}

// R rows times V vectors out of those of a panel, beginning at vector `first`.
template <class W, int R, int V, bool kStream>
void multiply(const Tile& t, int first) {
  float* const c = t.c + first * kVec;
  float32x4_t sum[R][V];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) {
      sum[r][v] = t.resume ? vld1q_f32(c + r * kPanel + v * kVec) : vdupq_n_f32(0.0f);
    }
  }
  const auto* a = static_cast<const float*>(t.a);
  const std::int64_t step_bytes = std::int64_t(t.width / kVec) * W::kBytes;
  const char* b = static_cast<const char*>(t.b) + first * W::kBytes;
  const std::int64_t steps = t.k / W::kSub;
  for (std::int64_t i = 0; i < steps; i++, a += R * W::kSub, b += step_bytes) {
    if constexpr (kStream) {
      for (int line = 0; line < W::kBytes * V; line += 64) __builtin_prefetch(b + kAhead + line);
    }
    sub_step<W, 0>(a, b, sum);
    if constexpr (W::kSub == 2) sub_step<W, 1>(a + R, b, sum);
  }
  if constexpr (W::kSub == 2) {
    if (t.k % 2 != 0) sub_step<W, 0>(a, b, sum);  // the last input has no partner
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) vst1q_f32(c + r * kPanel + v * kVec, sum[r][v]);
  }
}

template <class W, int R, bool kStream>
void multiply_rows(const Tile& t) {
  if constexpr (R <= kFewRows) {
    if (t.width == kPanel) return multiply<W, R, 8, kStream>(t, 0);
  }
  for (int first = 0; first < t.width / kVec; first += 4) multiply<W, R, 4, kStream>(t, first);
}

template <class W, bool kStream>
void tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[kRows] = {
      multiply_rows<W, 1, kStream>, multiply_rows<W, 2, kStream>, multiply_rows<W, 3, kStream>,
      multiply_rows<W, 4, kStream>, multiply_rows<W, 5, kStream>, multiply_rows<W, 6, kStream>};
  kByRows[t.rows - 1](t);
}

void pack_rows(const PackRows& p) {
  auto* const out = static_cast<float*>(p.out);
  int r = 0;
  for (; r + 4 <= p.rows; r += 4) {
    const float* x = p.x + r * p.x_stride;
    std::int64_t k = 0;
    for (; k + 4 <= p.k; k += 4) {
      VecNeon column[4];
      load_transposed(x + k, p.x_stride, column);
      for (int i = 0; i < 4; i++) column[i].store(out + (k + i) * p.rows + r);
    }
    for (; k < p.k; k++) {
      for (int i = 0; i < 4; i++) out[k * p.rows + r + i] = x[i * p.x_stride + k];
    }
  }
  for (; r < p.rows; r++) {
    for (std::int64_t k = 0; k < p.k; k++) out[k * p.rows + r] = p.x[r * p.x_stride + k];
  }
}

template <class W>
constexpr GemmKernel kKernel = {kRows,          1, 4, pack_rows, tile<W, false>, tile<W, true>,
                                finish<VecNeon>};

}  // namespace

const GemmKernel kGemmNeon[3] = {kKernel<F32>, kKernel<Bf16>, kKernel<F16>};

}  // namespace chiasm::kernels::cpu
