#pragma once
/// Rows of a resize. Plain data only: files compiled for one instruction set include this.
#include <cstdint>

namespace chiasm::vision {

/// The weights of an axis; see Axis.
template <class W>
struct AxisView {
  const std::int32_t* first;
  const std::int32_t* count;
  const W* weights;
  std::int64_t stride;
  int bits;
};

/// A row may be read this many bytes past its last pixel by `horizontal`.
constexpr std::int64_t kRowSlack = 64;

template <class W>
struct RowKernels {
  /// One row of RGB pixels to `width` pixels.
  void (*horizontal)(const std::uint8_t* row, const AxisView<W>& axis, std::int64_t width,
                     std::uint8_t* out);
  /// Output row `y` from rows of `bytes` bytes that begin at `image`, one below the other.
  void (*vertical)(const std::uint8_t* image, const AxisView<W>& axis, std::int64_t y,
                   std::int64_t bytes, std::uint8_t* out);
};

RowKernels<std::int16_t> row_kernels_avx2();  // only where CHIASM_VISION_AVX2 is defined

}  // namespace chiasm::vision
