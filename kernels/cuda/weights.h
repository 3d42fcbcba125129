#pragma once
/// Reading weights of every format, eight inputs at a time.
#include "core/device_calls.h"
#include "kernels/cuda/dev.h"

namespace chiasm::device {

inline constexpr std::int64_t kGroup = 32;  // inputs that share a scale

/// w[0..8) = the weights of output `o` for inputs [i, i + 8), i a multiple of 8.
template <Format format>
__device__ void read8(const MatrixRef& m, std::int64_t o, std::int64_t i, float (&w)[8]) {
  const std::int64_t at = o * m.padded + i;
  if constexpr (format == Format::f32) {
    const auto* p = reinterpret_cast<const float4*>(static_cast<const float*>(m.data) + at);
    const float4 a = p[0], b = p[1];
    w[0] = a.x, w[1] = a.y, w[2] = a.z, w[3] = a.w;
    w[4] = b.x, w[5] = b.y, w[6] = b.z, w[7] = b.w;
  } else if constexpr (format == Format::bf16 || format == Format::f16) {
    const auto v = *reinterpret_cast<const uint4*>(static_cast<const std::uint16_t*>(m.data) + at);
    const std::uint32_t words[4] = {v.x, v.y, v.z, v.w};
    for (int j = 0; j < 4; j++) {
      const auto low = std::uint16_t(words[j]), high = std::uint16_t(words[j] >> 16);
      w[2 * j] = format == Format::bf16 ? dev::from_bf16(low) : dev::from_half(low);
      w[2 * j + 1] = format == Format::bf16 ? dev::from_bf16(high) : dev::from_half(high);
    }
  } else if constexpr (format == Format::q8) {
    const auto v = *reinterpret_cast<const uint2*>(static_cast<const std::int8_t*>(m.data) + at);
    const float scale = dev::from_half(m.scales[at / kGroup]);
    for (int j = 0; j < 4; j++) {
      w[j] = scale * float(std::int8_t(v.x >> (8 * j)));
      w[4 + j] = scale * float(std::int8_t(v.y >> (8 * j)));
    }
  } else {
    const auto v =
        *reinterpret_cast<const std::uint32_t*>(static_cast<const std::uint8_t*>(m.data) + at / 2);
    const float scale = dev::from_half(m.scales[at / kGroup]);
    const float min = dev::from_half(m.minima[at / kGroup]);
    for (int j = 0; j < 8; j++) w[j] = scale * float((v >> (4 * j)) & 0xfu) + min;
  }
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
  }
}

}  // namespace chiasm::device
