#pragma once
/// Small pictures for the tests of vision encoders.
#include "vision/prepared.h"

namespace chiasm::testing {

/// A picture of one tile whose levels are `seed` dependent and whose values lie between -1 and 1.
inline vision::PreparedPicture small_picture(std::int64_t height, std::int64_t width, int seed) {
  vision::PreparedPicture picture;
  vision::Tile tile{width, height, {height, width}, {}};
  for (std::int64_t i = 0; i < height * width * 3; i++) {
    tile.rgb.push_back(std::uint8_t((i * 37 + i * i % 89 + seed * 101) % 251));
  }
  picture.tiles.push_back(std::move(tile));
  for (auto& channel : picture.levels) {
    for (std::size_t i = 0; i < channel.size(); i++) channel[i] = float(i) / 127.5f - 1;
  }
  return picture;
}

}  // namespace chiasm::testing
