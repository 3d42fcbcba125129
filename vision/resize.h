#pragma once
/// Antialiased resizing of 8-bit RGB pictures, bit for bit as the two references do it.
#include <cstdint>

#include "core/context.h"
#include "vision/image.h"

namespace chiasm::vision {

/// `nearest` is torchvision's "nearest-exact" where its arithmetic is followed, as in transformers.
enum class Filter { nearest, bilinear, bicubic, lanczos };

/// Whose arithmetic to follow. Both resize one axis after the other, round to 8 bits in between and
/// use fixed-point weights, but they differ in precision and order:
///   torchvision  horizontal first; 16-bit weights, as precise as the axis's largest one allows
///                (torch 2.15, CPU; transformers 5's default);
///   pillow       weights of 22 fractional bits; vertical first where that shrinks more (Pillow
///   13).
enum class ResizeOrder { torchvision, pillow };

/// A part of a picture. Pixels from its top left corner.
struct Box {
  std::int64_t left = 0, top = 0, width = 0, height = 0;
};

/// Resizes to width x height pixels (each at least 1), threaded over rows through ctx.pool.
/// The result does not depend on the number of threads, the instruction set or the device, which
/// resizes where `ctx` has one.
/// MediaError when `image` is empty or its pixels do not fit its size.
Image resize(const Context& ctx, const Image& image, std::int64_t width, std::int64_t height,
             Filter filter, ResizeOrder order = ResizeOrder::torchvision);

/// The pixels of `box`, which lies within the resized picture, and no others: what is cut away need
/// not fit into memory. Sides up to 2^26, box up to 2^28 pixels; MediaError beyond.
Image resize_region(const Context& ctx, const Image& image, std::int64_t width, std::int64_t height,
                    const Box& box, Filter filter, ResizeOrder order = ResizeOrder::torchvision);

}  // namespace chiasm::vision
