#pragma once
/// From a prepared tile's bytes to the rows that a patch embedding takes.
#include "core/arena.h"
#include "core/context.h"
#include "vision/prepared.h"

namespace chiasm::vision {

/// Normalised patches of tile `index` (PreparedPicture::pixel_values, then
/// kernels::extract_patches). y: [patches, 3 * patch^2]. On a device the tile goes there as bytes.
/// `arena` is that of the pass.
void tile_patches(const Context& ctx, const PreparedPicture& picture, std::int64_t index,
                  std::int64_t patch, Arena& arena, TensorView<float> y);

}  // namespace chiasm::vision
