#include "vision/tile_choice.h"

#include <cmath>
#include <limits>

namespace chiasm::vision {

TileShape closest_grid(PictureSize source, PictureSize tile, std::int64_t least,
                       std::int64_t most) {
  const double aspect = double(source.width) / double(source.height);
  const double area = double(source.width * source.height);
  double best = std::numeric_limits<double>::infinity();
  TileShape chosen;
  for (std::int64_t count = least; count <= most; count++) {
    for (std::int64_t cols = 1; cols <= count; cols++) {
      if (count % cols != 0) continue;
      const TileShape grid{count / cols, cols};
      const double off = std::fabs(aspect - double(cols) / double(grid.rows));
      const bool roomy = area > 0.5 * double(tile.height * tile.width * count);
      if (off < best || (off == best && roomy)) chosen = grid;
      if (off < best) best = off;
    }
  }
  return chosen;
}

}  // namespace chiasm::vision
