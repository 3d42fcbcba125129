// Product of 8-bit weights with one scale for each output and int8 activations in groups of 128, in
// plain integer arithmetic.
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/quant_layout.h"
#include "kernels/cpu/simd_portable.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kTileRows = 4;

// dot[o] += sum over one block's 32 inputs of w[o] * x.
void add_block(const std::int16_t (&w)[kGroup][kLanes], const std::int8_t* x,
               std::int32_t (&dot)[kLanes]) {
  for (int k = 0; k < kGroup; k++) {
    for (int o = 0; o < kLanes; o++) dot[o] += std::int32_t(w[k][o]) * x[k];
  }
}

// One group of activations times `blocks` blocks of weights, `step` bytes apart, for 16 outputs.
void add_group(const Tile& t, const std::int8_t* a, const std::uint8_t* b, std::int64_t blocks,
               std::int64_t step, int first) {
  std::int32_t dot[kTileRows][kLanes] = {};
  for (std::int64_t i = 0; i < blocks; i++) {
    std::int16_t w[kGroup][kLanes];
    for (int k = 0; k < kGroup; k++) {
      for (int o = 0; o < kLanes; o++) {
        w[k][o] = std::int16_t(b[i * step + k / 4 * 64 + o * 4 + k % 4] - kQ8Offset);
      }
    }
    for (int r = 0; r < t.rows; r++) add_block(w, a + r * kWideGroup + i * kGroup, dot[r]);
  }
  const auto* scales = reinterpret_cast<const float*>(a + t.rows * kWideGroup);
  for (int r = 0; r < t.rows; r++) {
    float* const c = t.c + r * kPanel + first;
    for (int o = 0; o < kLanes; o++) c[o] += scales[r] * float(dot[r][o]);
  }
}

void tile(const Tile& t) {
  if (!t.resume) std::memset(t.c, 0, sizeof(float) * std::size_t(t.rows * kPanel));
  const auto* a = static_cast<const std::int8_t*>(t.a);
  const auto* b = static_cast<const std::uint8_t*>(t.b);
  const std::int64_t step = std::int64_t(t.width / kLanes) * kQ8RowsBlock;
  constexpr std::int64_t kBlocks = kWideGroup / kGroup;
  for (std::int64_t blocks = (t.k + kGroup - 1) / kGroup; blocks > 0; blocks -= kBlocks) {
    const std::int64_t here = blocks < kBlocks ? blocks : kBlocks;
    for (int first = 0; first < t.width; first += kLanes) {
      add_group(t, a, b + first / kLanes * kQ8RowsBlock, here, step, first);
    }
    a += t.rows * kWideUnit;
    b += here * step;
  }
}

// One group of one row. The largest magnitude is found among bit patterns, where NaN is the
// largest: the group's scale becomes NaN, its numbers 0.
float quantize(const float* x, std::int64_t count, std::int8_t* q) {
  std::uint32_t bits = 0;
  for (std::int64_t i = 0; i < count; i++) {
    const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu;
    bits = magnitude > bits ? magnitude : bits;
  }
  const float top = std::bit_cast<float>(bits);
  const float inverse = top > kSmallestGroup ? 127.0f / top : 0.0f;
  for (int i = 0; i < kWideGroup; i++) {
    const bool counts = i < count && top <= kLargestFloat;
    q[i] = std::int8_t(counts ? std::nearbyint(x[i] * inverse) : 0.0f);
  }
  return top / 127.0f;
}

// Weights are signed here: the corrections of quant_layout.h stay unused.
void pack_rows(const PackRows& p) {
  auto* out = static_cast<std::int8_t*>(p.out);
  for (std::int64_t k = 0; k < p.k; k += kWideGroup, out += p.rows * kWideUnit) {
    auto* const scales = reinterpret_cast<float*>(out + p.rows * kWideGroup);
    for (int r = 0; r < p.rows; r++) {
      const std::int64_t count = p.k - k < kWideGroup ? p.k - k : kWideGroup;
      scales[r] = quantize(p.x + r * p.x_stride + k, count, out + r * kWideGroup);
    }
  }
}

}  // namespace

const GemmKernel kGemmQ8RowsPortable = {kTileRows, kWideGroup, kWideUnit,          pack_rows,
                                        tile,      tile,       finish<VecPortable>};

}  // namespace chiasm::kernels::cpu
