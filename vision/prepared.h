#pragma once
/// A picture as a family's processor leaves it for the encoder.
#include <array>
#include <cstdint>
#include <vector>

namespace chiasm::vision {

/// The part of a tile that shows picture rather than padding, from its top left corner. Pixels.
struct ValidSize {
  std::int64_t height = 0, width = 0;
};

/// One piece of a picture that the encoder takes whole. 8-bit, normalised only on demand.
struct Tile {
  std::int64_t width = 0, height = 0;  // pixels
  ValidSize valid;                     // beyond it pixel_values are exactly 0
  std::vector<std::uint8_t> rgb;       // [height, width, 3]
};

/// Tiles in the order in which the encoder meets them; they may differ in size. Plain data, safe to
/// read from several threads.
struct PreparedPicture {
  std::vector<Tile> tiles;
  std::int64_t rows = 0, cols = 0;                   // of the grid of tiles; 0 where it is not cut
  std::int64_t source_height = 0, source_width = 0;  // of the picture, pixels
  /// The float32 value of each 8-bit level, per channel: the processor's rescaling and
  /// normalisation in its own float32 arithmetic.
  std::array<std::array<float, 256>, 3> levels{};

  std::int64_t count() const { return std::int64_t(tiles.size()); }
  const Tile& tile(std::int64_t i) const { return tiles[std::size_t(i)]; }
  /// Writes tile `i` as the processor's `pixel_values`. out: [3, height, width].
  void pixel_values(std::int64_t i, float* out) const;
};

/// Puts the tiles of the next frame of a video behind those of the frames before it.
void append_frame(PreparedPicture&& frame, PreparedPicture& video);

}  // namespace chiasm::vision
