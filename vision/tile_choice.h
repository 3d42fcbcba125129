#pragma once
/// Which grid of equal tiles fits a picture's shape best: the choice that InternVL and LFM2-VL
/// make. Source: transformers 5.23, get_optimal_tiled_canvas and find_closest_aspect_ratio.
#include <cstdint>

#include "vision/processor_settings.h"

namespace chiasm::vision {

struct TileShape {
  std::int64_t rows = 1, cols = 1;

  bool operator==(const TileShape&) const = default;
};

/// Among grids of `least` to `most` tiles, the one whose width : height is nearest to the
/// picture's. Of equally near ones the larger, as long as the picture has over half its pixels. 1 x
/// 1 when there is none.
TileShape closest_grid(PictureSize source, PictureSize tile, std::int64_t least, std::int64_t most);

}  // namespace chiasm::vision
