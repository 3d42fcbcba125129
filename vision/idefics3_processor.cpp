#include "vision/idefics3_processor.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace chiasm::vision {

namespace {

constexpr std::int64_t kLargestSide = 4096;  // transformers' MAX_IMAGE_SIZE

std::int64_t ceil_to(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

std::int64_t side(const Json& size, std::string_view key) {
  const std::int64_t value = size[key].integer();
  constexpr std::int64_t most = 1 << 16;
  if (value < 1 || value > most) {
    fail<ModelError>(size.where(), ".", key, ": ", value, ", expected 1 to ", most, " pixels");
  }
  return value;
}

/// PIL's numbers for resampling filters, as configuration files write them.
Filter filter_from(const Json& config) {
  switch (config.integer("resample", 1)) {
    case 0:
      return Filter::nearest;
    case 1:
      return Filter::lanczos;
    case 2:
      return Filter::bilinear;
    case 3:
      return Filter::bicubic;
    default:
      fail<ModelError>(config["resample"].where(), ": ", config["resample"].brief(),
                       ", expected 0 (nearest), 1 (lanczos), 2 (bilinear) or 3 (bicubic)");
  }
}

/// "image_mean" or "image_std": three numbers, or one for all channels.
std::array<float, 3> channels(const Json& config, std::string_view key, float otherwise) {
  std::array<float, 3> out{otherwise, otherwise, otherwise};
  if (!config.has(key)) return out;
  const Json values = config[key];
  if (values.is_number()) {
    out.fill(float(values.number()));
    return out;
  }
  if (values.size() != 3) fail<ModelError>(values.where(), ": expected 3 numbers");
  for (std::size_t i = 0; i < 3; i++) out[i] = float(values[i].number());
  return out;
}

/// transformers fuses rescaling into the mean and deviation, in float32: both are divided by the
/// factor, then (level - mean) / deviation.
std::array<std::array<float, 256>, 3> levels_from(const Json& config) {
  const bool rescale = config.boolean("do_rescale", true);
  const bool normalize = config.boolean("do_normalize", true);
  const double factor = config.number("rescale_factor", 1.0 / 255);
  auto mean = channels(config, "image_mean", 0.5f), deviation = channels(config, "image_std", 0.5f);
  if (rescale && factor == 0) fail<ModelError>(config.where(), ".rescale_factor: is zero");
  std::array<std::array<float, 256>, 3> levels{};
  for (std::size_t c = 0; c < 3; c++) {
    if (normalize && deviation[c] == 0) fail<ModelError>(config.where(), ".image_std: has a zero");
    if (normalize && rescale) {
      mean[c] *= float(1.0 / factor);
      deviation[c] *= float(1.0 / factor);
    }
    for (std::size_t level = 0; level < 256; level++) {
      const auto value = float(level);
      levels[c][level] = normalize ? (value - mean[c]) / deviation[c]
                         : rescale ? value * float(factor)
                                   : value;
    }
  }
  return levels;
}

void check_source(std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1) {
    fail<MediaError>("an image of ", width, " x ", height, " pixels is empty");
  }
}

/// Columns from `left` and rows from `top` on, `side` of both.
Tile cut(const Image& from, std::int64_t left, std::int64_t top, std::int64_t side) {
  Tile tile{side, side, {side, side}, std::vector<std::uint8_t>(std::size_t(side * side * 3))};
  for (std::int64_t y = 0; y < side; y++) {
    std::memcpy(tile.rgb.data() + y * side * 3,
                from.rgb.data() + ((top + y) * from.width + left) * 3, std::size_t(side * 3));
  }
  return tile;
}

}  // namespace

Idefics3Processor::Idefics3Processor(const Json& config, ResizeOrder order)
    : order_(order),
      filter_(filter_from(config)),
      do_resize_(config.boolean("do_resize", true)),
      do_split_(config.boolean("do_image_splitting", true)),
      levels_(levels_from(config)) {
  if (config.has("max_image_size")) tile_ = side(config["max_image_size"], "longest_edge");
  if (!config.has("size")) return;
  const Json size = config["size"];
  if (size.has("longest_edge")) {
    longest_edge_ = side(size, "longest_edge");
  } else if (size.has("height") && size.has("width")) {
    longest_edge_ = 0;
    fixed_ = {side(size, "width"), side(size, "height")};
  } else {
    fail<ModelError>(size.where(), ": ", size.brief(),
                     ", expected \"longest_edge\", or \"height\" and \"width\"");
  }
}

Idefics3Processor Idefics3Processor::load(const std::filesystem::path& folder, ResizeOrder order) {
  const auto own = folder / "preprocessor_config.json", shared = folder / "processor_config.json";
  // transformers 5 writes processor_config.json alone and, finding both, prefers it.
  if (std::filesystem::exists(shared)) {
    const Json config = Json::load(shared);
    if (config.has("image_processor")) return Idefics3Processor(config["image_processor"], order);
  }
  if (std::filesystem::exists(own)) return Idefics3Processor(Json::load(own), order);
  fail<ModelError>(folder.string(), ": has neither preprocessor_config.json nor a ",
                   "processor_config.json with \"image_processor\"");
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
  check_source(width, height);
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
  out.levels = levels_;

  ctx.poll();
  const Size first = resized({image.width, image.height});
  Image picture = resize(ctx, image, first.width, first.height, filter_, order_);
  if (do_split_) {
    const Size second = squared(first);
    picture = resize(ctx, picture, second.width, second.height, filter_, order_);
  }
  ctx.poll();
  for (std::int64_t r = 0; r < grid.rows; r++) {
    for (std::int64_t c = 0; c < grid.cols; c++) {
      out.tiles.push_back(cut(picture, c * tile_, r * tile_, tile_));
    }
  }
  Image whole = resize(ctx, picture, tile_, tile_, filter_, order_);
  out.tiles.push_back({tile_, tile_, {tile_, tile_}, std::move(whole.rgb)});
  return out;
}

}  // namespace chiasm::vision
