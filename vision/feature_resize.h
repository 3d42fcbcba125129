#pragma once
/// Resizing a grid of features, as OneVision does with those of large pictures and of video frames,
/// and SigLIP 2 with its table of positions.
#include <cstdint>

#include "core/tensor.h"

namespace chiasm::vision {

/// Height and width of a grid, in rows of features.
struct GridSize {
  std::int64_t height = 0, width = 0;
};

/// Bilinear, without antialiasing and with corners not aligned, each column on its own.
/// x: [from.height * from.width, dim]; y: [to.height * to.width, dim]. No size is 0. ShapeError.
/// Source: torch.nn.functional.interpolate(mode="bilinear"), in its float32 arithmetic.
void resize_features(TensorView<const float> x, GridSize from, GridSize to, TensorView<float> y);

/// Likewise with antialiasing: where a side shrinks, all rows or columns under one of the result
/// count. Source: torch.nn.functional.interpolate(mode="bilinear", antialias=True), in its float32
/// arithmetic: columns first, then rows.
void resize_features_antialiased(TensorView<const float> x, GridSize from, GridSize to,
                                 TensorView<float> y);

}  // namespace chiasm::vision
