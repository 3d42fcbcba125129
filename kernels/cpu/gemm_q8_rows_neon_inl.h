#pragma once
/// Product of 8-bit weights with one scale for each output and int8 activations in groups of 128,
/// by NEON. `Dot` as in gemm_quant_neon_inl.h.
#include "kernels/cpu/gemm_quant_neon_inl.h"

namespace chiasm::kernels::cpu {
namespace {

// R rows times V vectors of a panel, beginning at vector `first` of its block `block`; see Tile.
template <class Dot, int R, int V, bool kStream>
void multiply_wide(const Tile& t, int block, int first) {
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
  const auto* b = static_cast<const std::uint8_t*>(t.b) + block * kQ8RowsBlock + 16 * first;
  const std::int64_t b_step = std::int64_t(t.width / kLanes) * kQ8RowsBlock;
  for (std::int64_t blocks = (t.k + kGroup - 1) / kGroup; blocks > 0; a += R * kWideUnit) {
    const auto* scales = reinterpret_cast<const float*>(a + R * kWideGroup);
    int32x4_t dot[R][V];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) dot[r][v] = vdupq_n_s32(0);
    }
    const std::int64_t last = blocks > kWideGroup / kGroup ? blocks - kWideGroup / kGroup : 0;
    for (const std::int8_t* x = a; blocks > last; blocks--, x += kGroup, b += b_step) {
      if constexpr (kStream) {
        for (int line = 0; line < kQ8RowsBlock; line += 64) __builtin_prefetch(b + kAhead + line);
      }
      steps<Q8, Dot, kWideGroup>(x, b, dot);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) {
        sum[r][v] = vfmaq_n_f32(sum[r][v], vcvtq_f32_s32(dot[r][v]), scales[r]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) vst1q_f32(c + r * kPanel + v * kVec, sum[r][v]);
  }
}

template <class Dot, int R, bool kStream>
void multiply_wide_rows(const Tile& t) {
  constexpr int kVectors = R <= 2 ? 4 : 2;
  for (int block = 0; block < t.width / kLanes; block++) {
    for (int first = 0; first < kLanes / kVec; first += kVectors) {
      multiply_wide<Dot, R, kVectors, kStream>(t, block, first);
    }
  }
}

template <class Dot, bool kStream>
void wide_tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[kRows] = {
      multiply_wide_rows<Dot, 1, kStream>, multiply_wide_rows<Dot, 2, kStream>,
      multiply_wide_rows<Dot, 3, kStream>, multiply_wide_rows<Dot, 4, kStream>};
  kByRows[t.rows - 1](t);
}

// Weights are signed here: the corrections of quant_layout.h stay unused.
inline void pack_wide_rows(const PackRows& p) {
  auto* out = static_cast<std::int8_t*>(p.out);
  for (std::int64_t k = 0; k < p.k; k += kWideGroup, out += p.rows * kWideUnit) {
    auto* const scales = reinterpret_cast<float*>(out + p.rows * kWideGroup);
    for (int r = 0; r < p.rows; r++) {
      const float* x = p.x + r * p.x_stride + k;
      float rest[kWideGroup] = {};
      if (p.k - k < kWideGroup) {
        for (int i = 0; i < p.k - k; i++) rest[i] = x[i];
        x = rest;
      }
      const Step step = step_of(largest_bits(x, kWideGroup));
      for (int i = 0; i < kWideGroup; i += 8) narrow_eight(x + i, step, out + r * kWideGroup + i);
      scales[r] = step.scale;
    }
  }
}

template <class Dot>
constexpr GemmKernel kWideKernel = {kRows,
                                    kWideGroup,
                                    kWideUnit,
                                    pack_wide_rows,
                                    wide_tile<Dot, false>,
                                    wide_tile<Dot, true>,
                                    finish<VecNeon>};

}  // namespace
}  // namespace chiasm::kernels::cpu
