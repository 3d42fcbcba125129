// Product of quantized weights and int8 activations in plain integer arithmetic.
#include <bit>
#include <cmath>
#include <cstring>

#include "core/dtype.h"
#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/quant_layout.h"
#include "kernels/cpu/simd_portable.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kTileRows = 4;

// A block's numbers as [kGroup][kLanes], so that a loop over lanes is a loop over memory.
struct Unpacked {
  std::int16_t q[kGroup][kLanes];
  float scale[kLanes], min[kLanes];
};

float half_at(const std::uint8_t* p) {
  f16 v;
  std::memcpy(&v, p, sizeof v);
  return to_float(v);
}

struct Q8 {
  static constexpr int kBlock = kQ8Block;
  static constexpr bool kHasMin = false;
  static void unpack(const std::uint8_t* block, Unpacked& out) {
    for (int k = 0; k < kGroup; k++) {
      for (int o = 0; o < kLanes; o++) {
        out.q[k][o] = std::int16_t(block[k / 4 * 64 + o * 4 + k % 4] - kQ8Offset);
      }
    }
    for (int o = 0; o < kLanes; o++) out.scale[o] = half_at(block + kQ8Scales + 2 * o);
  }
};

struct Q4 {
  static constexpr int kBlock = kQ4Block;
  static constexpr bool kHasMin = true;
  static void unpack(const std::uint8_t* block, Unpacked& out) {
    for (int k = 0; k < kGroup; k++) {
      const int shift = k % 8 / 4 * 4;
      for (int o = 0; o < kLanes; o++) {
        out.q[k][o] = std::int16_t(block[k / 8 * 64 + o * 4 + k % 4] >> shift & 15);
      }
    }
    for (int o = 0; o < kLanes; o++) {
      out.scale[o] = half_at(block + kQ4Scales + 2 * o);
      out.min[o] = half_at(block + kQ4Minima + 2 * o);
    }
  }
};

template <class Q>
void add_group(const Unpacked& w, const std::int8_t* x, float scale, float x_sum, float* c) {
  std::int32_t dot[kLanes] = {};
  for (int k = 0; k < kGroup; k++) {
    for (int o = 0; o < kLanes; o++) dot[o] += std::int32_t(w.q[k][o]) * x[k];
  }
  for (int o = 0; o < kLanes; o++) {
    c[o] += w.scale[o] * scale * float(dot[o]);
    if constexpr (Q::kHasMin) c[o] += w.min[o] * x_sum;
  }
}

template <class Q>
void tile(const Tile& t) {
  if (!t.resume) std::memset(t.c, 0, sizeof(float) * std::size_t(t.rows * kPanel));
  const auto* b = static_cast<const std::uint8_t*>(t.b);
  const auto* a = static_cast<const std::int8_t*>(t.a);
  Unpacked w;
  for (std::int64_t k = 0; k < t.k; k += kGroup, a += t.rows * kQuantUnit) {
    const auto* scales = reinterpret_cast<const float*>(a + t.rows * kGroup);
    for (int first = 0; first < t.width; first += kLanes, b += Q::kBlock) {
      Q::unpack(b, w);
      for (int r = 0; r < t.rows; r++) {
        add_group<Q>(w, a + r * kGroup, scales[r], scales[t.rows + r], t.c + r * kPanel + first);
      }
    }
  }
}

// One group of one row. The largest magnitude is found among bit patterns, where NaN is the
// largest: the group's scale becomes NaN, its numbers 0.
void quantize(const float* x, std::int64_t count, std::int8_t* q, float* scale, float* x_sum) {
  std::uint32_t bits = 0;
  for (std::int64_t i = 0; i < count; i++) {
    const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu;
    bits = magnitude > bits ? magnitude : bits;
  }
  const float top = std::bit_cast<float>(bits);
  const float inverse = top > kSmallestGroup ? 127.0f / top : 0.0f;
  int sum = 0;
  for (int i = 0; i < kGroup; i++) {
    const bool counts = i < count && top <= kLargestFloat;
    q[i] = std::int8_t(counts ? std::nearbyint(x[i] * inverse) : 0.0f);
    sum += q[i];
  }
  *scale = top / 127.0f;
  *x_sum = *scale * float(sum);
}

void pack_rows(const PackRows& p) {
  auto* out = static_cast<std::int8_t*>(p.out);
  for (std::int64_t k = 0; k < p.k; k += kGroup, out += p.rows * kQuantUnit) {
    auto* const scales = reinterpret_cast<float*>(out + p.rows * kGroup);
    for (int r = 0; r < p.rows; r++) {
      const std::int64_t count = p.k - k < kGroup ? p.k - k : kGroup;
      quantize(p.x + r * p.x_stride + k, count, out + r * kGroup, scales + r, scales + p.rows + r);
    }
  }
}

template <class Q>
constexpr GemmKernel kKernel = {kTileRows, kGroup,  kQuantUnit,         pack_rows,
                                tile<Q>,   tile<Q>, finish<VecPortable>};

}  // namespace

const GemmKernel kGemmQuantPortable[2] = {kKernel<Q8>, kKernel<Q4>};

}  // namespace chiasm::kernels::cpu
