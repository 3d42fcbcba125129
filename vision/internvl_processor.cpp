#include "vision/internvl_processor.h"

#include "core/error.h"
#include "vision/crop.h"
#include "vision/tile_choice.h"

namespace chiasm::vision {

InternVlProcessor::InternVlProcessor(const Json& config, ResizeOrder order)
    : order_(order),
      pixels_(read_pixel_settings(config, Filter::bicubic, kClipNormalization)),
      least_(bounded(config, "min_patches", 1, 1, 4096)),
      most_(bounded(config, "max_patches", 12, 1, 4096)) {
  const SizeRule size =
      read_size(config, "size", {.height = 384, .width = 384}, LoneSize::square, 4096);
  if (!size.is_fixed()) {
    fail<ModelError>(config["size"].where(), ": ", config["size"].brief(),
                     ", expected \"height\" and \"width\"");
  }
  tile_ = {size.height, size.width};
}

InternVlProcessor InternVlProcessor::load(const std::filesystem::path& folder, ResizeOrder order) {
  return InternVlProcessor(image_processor_settings(folder), order);
}

TileLayout InternVlProcessor::layout(std::int64_t width, std::int64_t height) const {
  check_source({height, width});
  const TileShape grid = closest_grid({height, width}, tile_, least_, most_);
  const std::int64_t count = grid.rows * grid.cols;
  if (count == 1) return {{tile_}};
  return {std::vector(std::size_t(count + 1), tile_), grid.rows, grid.cols};
}

PreparedPicture InternVlProcessor::whole(const Context& ctx, const Image& image) const {
  check_source({image.height, image.width});
  PreparedPicture out;
  out.source_height = image.height;
  out.source_width = image.width;
  out.levels = pixels_.levels;
  out.tiles.push_back(
      as_tile(resize(ctx, image, tile_.width, tile_.height, pixels_.filter, order_)));
  return out;
}

PreparedPicture InternVlProcessor::operator()(const Context& ctx, const Image& image) const {
  const TileLayout cut = layout(image.width, image.height);
  ctx.poll();
  PreparedPicture out = whole(ctx, image);
  if (cut.rows == 0) return out;
  out.rows = cut.rows;
  out.cols = cut.cols;
  std::vector<Tile> tiles;
  append_tiles(
      resize(ctx, image, tile_.width * cut.cols, tile_.height * cut.rows, pixels_.filter, order_),
      tile_, tiles);
  tiles.push_back(std::move(out.tiles[0]));
  out.tiles = std::move(tiles);
  return out;
}

}  // namespace chiasm::vision
