#include "vision/idefics3_processor.h"

#include <algorithm>

#include "core/error.h"
#include "vision/crop.h"

namespace chiasm::vision {

namespace {

constexpr std::int64_t kLargestSide = 4096;  // transformers' MAX_IMAGE_SIZE

std::int64_t ceil_to(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace

Idefics3Processor::Idefics3Processor(const Json& config, ResizeOrder order)
    : order_(order),
      pixels_(read_pixel_settings(config, Filter::lanczos, kHalfNormalization)),
      do_resize_(config.boolean("do_resize", true)),
      do_split_(config.boolean("do_image_splitting", true)) {
  const SizeRule tile =
      read_size(config, "max_image_size", {.longest_edge = tile_}, LoneSize::square);
  const SizeRule size =
      read_size(config, "size", {.longest_edge = longest_edge_}, LoneSize::square);
  if (tile.longest_edge == 0) {
    fail<ModelError>(config.where(), ".max_image_size: expected \"longest_edge\"");
  }
  if (size.longest_edge == 0 && !size.is_fixed()) {
    fail<ModelError>(config["size"].where(), ": ", config["size"].brief(),
                     ", expected \"longest_edge\", or \"height\" and \"width\"");
  }
  tile_ = tile.longest_edge;
  longest_edge_ = size.longest_edge;
  fixed_ = {size.width, size.height};
}

Idefics3Processor Idefics3Processor::load(const std::filesystem::path& folder, ResizeOrder order) {
  return Idefics3Processor(image_processor_settings(folder), order);
}

/// Python's arithmetic: ratios in double, int() cuts off the fraction.
Idefics3Processor::Size Idefics3Processor::resized(Size source) const {
  if (!do_resize_) return source;
  if (longest_edge_ == 0) return fixed_;
  auto [width, height] = source;
  const double aspect = double(width) / double(height);
  if (width >= height) {
    width = longest_edge_;
    height = std::int64_t(double(width) / aspect);
    height += height % 2;
  } else {
    height = longest_edge_;
    width = std::int64_t(double(height) * aspect);
    width += width % 2;
  }
  width = std::max<std::int64_t>(width, 1);
  height = std::max<std::int64_t>(height, 1);
  const double second = double(width) / double(height);
  if (width >= height && width > kLargestSide) {
    width = kLargestSide;
    height = std::max<std::int64_t>(std::int64_t(double(width) / second), 1);
  } else if (height > width && height > kLargestSide) {
    height = kLargestSide;
    width = std::max<std::int64_t>(std::int64_t(double(height) * second), 1);
  }
  return {width, height};
}

Idefics3Processor::Size Idefics3Processor::squared(Size size) const {
  auto [width, height] = size;
  const double aspect = double(width) / double(height);
  if (width >= height) {
    width = ceil_to(width, tile_);
    height = ceil_to(std::int64_t(double(width) / aspect), tile_);
  } else {
    height = ceil_to(height, tile_);
    width = ceil_to(std::int64_t(double(height) * aspect), tile_);
  }
  return {width, height};
}

TileGrid Idefics3Processor::grid_for(std::int64_t width, std::int64_t height) const {
  check_source({height, width});
  TileGrid grid{0, 0, tile_, tile_};
  if (!do_split_) return grid;
  const Size size = squared(resized({width, height}));
  if (size.width > tile_ || size.height > tile_) {
    grid.rows = size.height / tile_;
    grid.cols = size.width / tile_;
  }
  return grid;
}

PreparedPicture Idefics3Processor::operator()(const Context& ctx, const Image& image) const {
  const TileGrid grid = grid_for(image.width, image.height);
  PreparedPicture out;
  out.rows = grid.rows;
  out.cols = grid.cols;
  out.source_height = image.height;
  out.source_width = image.width;
  out.levels = pixels_.levels;

  ctx.poll();
  const Size first = resized({image.width, image.height});
  Image picture = resize(ctx, image, first.width, first.height, pixels_.filter, order_);
  if (do_split_) {
    const Size second = squared(first);
    picture = resize(ctx, picture, second.width, second.height, pixels_.filter, order_);
  }
  ctx.poll();
  if (grid.rows > 0) append_tiles(picture, {tile_, tile_}, out.tiles);
  out.tiles.push_back(as_tile(resize(ctx, picture, tile_, tile_, pixels_.filter, order_)));
  return out;
}

}  // namespace chiasm::vision
