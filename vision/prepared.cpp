#include "vision/prepared.h"

#include <algorithm>
#include <utility>

namespace chiasm::vision {

void PreparedPicture::pixel_values(std::int64_t i, float* out) const {
  const Tile& tile = this->tile(i);
  const std::int64_t plane = tile.height * tile.width;
  for (std::int64_t y = 0; y < tile.height; y++) {
    const std::uint8_t* from = tile.rgb.data() + y * tile.width * 3;
    const std::int64_t shown = y < tile.valid.height ? tile.valid.width : 0;
    for (std::int64_t channel = 0; channel < 3; channel++) {
      const auto& level = levels[std::size_t(channel)];
      float* to = out + channel * plane + y * tile.width;
      for (std::int64_t x = 0; x < shown; x++) to[x] = level[from[3 * x + channel]];
      std::fill(to + shown, to + tile.width, 0.0f);
    }
  }
}

void append_frame(PreparedPicture&& frame, PreparedPicture& video) {
  std::vector<Tile> tiles = std::move(video.tiles);
  for (Tile& tile : frame.tiles) tiles.push_back(std::move(tile));
  video = std::move(frame);
  video.tiles = std::move(tiles);
  video.rows = video.cols = 0;
}

}  // namespace chiasm::vision
