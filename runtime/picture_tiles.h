#pragma once
/// What a model makes of a picture, told in the picture's own pixels: the tiles that its encoder
/// takes, and the part that each token shows.
#include <cstdint>
#include <span>
#include <vector>

#include "vision/processor_settings.h"
#include "vision/region.h"

namespace chiasm {

using vision::Region;

/// A part of a picture that the encoder takes whole.
struct PictureTile {
  Region shows;                        // within the picture: padding shows nothing
  std::int64_t width = 0, height = 0;  // pixels that the encoder gets
  std::int64_t tokens = 0;             // whose features come from it
  bool overview = false;               // the whole picture, beside its parts
};

/// A token of a picture.
struct PictureToken {
  std::int64_t tile = -1;  // -1: a learned row, such as the end of a line
  Region shows;            // of no area where it shows no place
};

struct PictureTiles {
  std::int64_t width = 0, height = 0;  // of the upright picture
  std::int64_t rows = 0, cols = 0;     // of its parts; 0 where it is not cut
  std::vector<PictureTile> tiles;      // as the encoder meets them
  std::vector<PictureToken> tokens;    // as the prompt holds them

  PictureTiles() = default;
  PictureTiles(std::int64_t width_, std::int64_t height_) : width(width_), height(height_) {}

  vision::PictureSize size() const { return {height, width}; }
  /// Adds a tile of `pixels` that shows `region`, and behind all tokens its own: rows x cols of
  /// them in reading order.
  void add_tile(const Region& region, vision::PictureSize pixels, std::int64_t token_rows,
                std::int64_t token_cols);
  /// Adds a tile whose tokens are told with `add_token`.
  void add_tile(const Region& region, vision::PictureSize pixels);
  /// Adds a token of a tile; of none (-1) with an empty region.
  void add_token(std::int64_t tile, const Region& region);
  /// Adds rows x cols tiles of `pixels` that divide the picture equally, each of side x side
  /// tokens.
  void add_grid(std::int64_t grid_rows, std::int64_t grid_cols, vision::PictureSize pixels,
                std::int64_t side);
};

}  // namespace chiasm
