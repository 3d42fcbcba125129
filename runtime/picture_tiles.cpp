#include "runtime/picture_tiles.h"

namespace chiasm {

void PictureTiles::add_tile(const Region& region, vision::PictureSize pixels) {
  tiles.push_back({region.within(size()), pixels.width, pixels.height});
}

void PictureTiles::add_token(std::int64_t tile, const Region& region) {
  tokens.push_back({tile, region.within(size())});
  if (tile >= 0) tiles[std::size_t(tile)].tokens++;
}

void PictureTiles::add_tile(const Region& region, vision::PictureSize pixels,
                            std::int64_t token_rows, std::int64_t token_cols) {
  add_tile(region, pixels);
  const auto tile = std::int64_t(tiles.size()) - 1;
  for (std::int64_t row = 0; row < token_rows; row++) {
    for (std::int64_t col = 0; col < token_cols; col++) {
      add_token(tile,
                region.cell(double(row), double(col), double(token_rows), double(token_cols)));
    }
  }
}

void PictureTiles::add_grid(std::int64_t grid_rows, std::int64_t grid_cols,
                            vision::PictureSize pixels, std::int64_t side) {
  rows = grid_rows;
  cols = grid_cols;
  const Region whole = Region::whole(size());
  for (std::int64_t row = 0; row < rows; row++) {
    for (std::int64_t col = 0; col < cols; col++) {
      add_tile(whole.cell(double(row), double(col), double(rows), double(cols)), pixels, side,
               side);
    }
  }
}

}  // namespace chiasm
