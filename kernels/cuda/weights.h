#pragma once
/// Reading weights of every format, eight inputs at a time.
#include "core/device_calls.h"
#include "kernels/cuda/dev.h"

namespace chiasm::device {

inline constexpr std::int64_t kGroup = 32;  // inputs of q8 and q4 that share a scale

/// Bytes that eight numbers take.
template <Format format>
constexpr int kBytesOf8 = format == Format::f32                               ? 32
                          : format == Format::bf16 || format == Format::f16   ? 16
                          : format == Format::q4 || format == Format::blocks4 ? 4
                                                                              : 8;

/// What eight neighbouring inputs of an output share: w = scale * (q - offset) + min.
struct Shared8 {
  float scale, min;
  int offset;
};

/// Of output `o` and inputs [i, i + 8), i a multiple of 8.
template <Format format>
__device__ Shared8 shared8(const MatrixRef& m, std::int64_t o, std::int64_t i) {
  const std::int64_t at = o * m.padded + i;
  if constexpr (format == Format::q8) return {dev::from_half(m.scales[at / kGroup]), 0, 0};
  if constexpr (format == Format::q4) {
    return {dev::from_half(m.scales[at / kGroup]), dev::from_half(m.minima[at / kGroup]), 0};
  }
  if constexpr (format == Format::q8_rows) return {m.wide_scales[o], 0, 0};
  if constexpr (format == Format::blocks8 || format == Format::blocks4) {
    const std::int64_t block = at >> m.block_shift, group = at >> m.group_shift;
    Shared8 s{m.wide_scales[block], m.wide_minima != nullptr ? m.wide_minima[block] : 0.0f,
              m.offset};
    if (m.group_scales != nullptr) s.scale *= float(m.group_scales[group]);
    if (m.group_minima != nullptr) s.min *= float(m.group_minima[group]);
    s.min = -s.min;
    return s;
  }
  return {};
}

/// w[0..8) of the numbers that begin at `numbers`, aligned to their size.
template <Format format>
__device__ void widen8(const void* numbers, const Shared8& shared, float (&w)[8]) {
  if constexpr (format == Format::f32) {
    const auto* p = static_cast<const float4*>(numbers);
    const float4 a = p[0], b = p[1];
    w[0] = a.x, w[1] = a.y, w[2] = a.z, w[3] = a.w;
    w[4] = b.x, w[5] = b.y, w[6] = b.z, w[7] = b.w;
  } else if constexpr (format == Format::bf16 || format == Format::f16) {
    const auto v = *static_cast<const uint4*>(numbers);
    const std::uint32_t words[4] = {v.x, v.y, v.z, v.w};
    for (int j = 0; j < 4; j++) {
      const auto low = std::uint16_t(words[j]), high = std::uint16_t(words[j] >> 16);
      w[2 * j] = format == Format::bf16 ? dev::from_bf16(low) : dev::from_half(low);
      w[2 * j + 1] = format == Format::bf16 ? dev::from_bf16(high) : dev::from_half(high);
    }
  } else if constexpr (kBytesOf8<format> == 8) {
    const auto v = *static_cast<const uint2*>(numbers);
    for (int j = 0; j < 4; j++) {
      w[j] = float(int(std::int8_t(v.x >> (8 * j))) - shared.offset);
      w[4 + j] = float(int(std::int8_t(v.y >> (8 * j))) - shared.offset);
    }
    for (int j = 0; j < 8; j++) {
      w[j] *= shared.scale;
      if constexpr (format == Format::blocks8) w[j] += shared.min;
    }
  } else {
    const std::uint32_t v = *static_cast<const std::uint32_t*>(numbers);
    for (int j = 0; j < 8; j++) {
      w[j] = shared.scale * float(int((v >> (4 * j)) & 0xfu) - shared.offset) + shared.min;
    }
  }
}

/// w[0..8) = the weights of output `o` for inputs [i, i + 8), i a multiple of 8.
template <Format format>
__device__ void read8(const MatrixRef& m, std::int64_t o, std::int64_t i, float (&w)[8]) {
  const std::int64_t at = (o * m.padded + i) / 8 * kBytesOf8<format>;
  widen8<format>(static_cast<const std::uint8_t*>(m.data) + at, shared8<format>(m, o, i), w);
}

/// Calls `work` with the format as a constant.
template <class Work>
void with_format(Format format, Work&& work) {
  switch (format) {
    case Format::f32:
      return work.template operator()<Format::f32>();
    case Format::bf16:
      return work.template operator()<Format::bf16>();
    case Format::f16:
      return work.template operator()<Format::f16>();
    case Format::q8:
      return work.template operator()<Format::q8>();
    case Format::q4:
      return work.template operator()<Format::q4>();
    case Format::q8_rows:
      return work.template operator()<Format::q8_rows>();
    case Format::blocks8:
      return work.template operator()<Format::blocks8>();
    case Format::blocks4:
      return work.template operator()<Format::blocks4>();
  }
}

}  // namespace chiasm::device
