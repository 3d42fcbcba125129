#pragma once
/// The weights of one axis of a resize.
#include <cstdint>
#include <vector>

#include "vision/resize.h"

namespace chiasm::vision {

/// Output pixel i is the sum over k < count[i] of weights[i * stride + k] * input[first[i] + k],
/// then rounded, shifted right by `bits` and clipped to 8 bits. Weights beyond count[i] are zero.
/// W is std::int16_t for torchvision's arithmetic, std::int32_t for Pillow's.
template <class W>
struct Axis {
  std::vector<std::int32_t> first, count;
  std::vector<W> weights;
  std::int64_t stride = 0;  // a multiple of 8, so that vector code may read whole vectors
  int bits = 0;             // of the fraction
};

/// The part of an axis that is wanted: `count` pixels from `begin` of `whole`.
struct AxisPart {
  std::int64_t whole = 0, begin = 0, count = 0;
};

/// Weights for a part of `in` pixels resized to `out.whole` with an antialiasing filter (not
/// nearest). They are those of the whole axis, whose largest weight sets the precision of all.
template <class W>
Axis<W> make_axis(std::int64_t in, const AxisPart& out, Filter filter);

extern template Axis<std::int16_t> make_axis(std::int64_t, const AxisPart&, Filter);
extern template Axis<std::int32_t> make_axis(std::int64_t, const AxisPart&, Filter);

/// The input pixel that each output pixel of the part copies.
std::vector<std::int32_t> nearest_pixels(std::int64_t in, const AxisPart& out, ResizeOrder order);

}  // namespace chiasm::vision
