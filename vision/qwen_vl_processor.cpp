#include "vision/qwen_vl_processor.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "vision/crop.h"

namespace chiasm::vision {

namespace {

constexpr std::int64_t kMostArea = std::int64_t(1) << 28;  // pixels

/// Python's round(): half to even.
std::int64_t round_to(std::int64_t value, std::int64_t factor) {
  return std::int64_t(std::nearbyint(double(value) / double(factor))) * factor;
}

std::int64_t shrunk(std::int64_t value, double by, std::int64_t factor) {
  return std::max(factor, std::int64_t(std::floor(double(value) / by / double(factor))) * factor);
}

std::int64_t grown(std::int64_t value, double by, std::int64_t factor) {
  return std::int64_t(std::ceil(double(value) * by / double(factor))) * factor;
}

}  // namespace

PictureSize smart_resize(PictureSize source, std::int64_t factor, std::int64_t least,
                         std::int64_t most) {
  check_source(source);
  const auto [height, width] = source;
  const double ratio = double(std::max(height, width)) / double(std::min(height, width));
  if (ratio > 200) {
    fail<MediaError>("an image of ", width, " x ", height,
                     " pixels is too thin: one side may be at most 200 times the other");
  }
  const PictureSize near{round_to(height, factor), round_to(width, factor)};
  const auto area = double(height * width);
  if (near.height * near.width > most) {
    const double by = std::sqrt(area / double(most));
    return {shrunk(height, by, factor), shrunk(width, by, factor)};
  }
  if (near.height * near.width < least) {
    const double by = std::sqrt(double(least) / area);
    return {grown(height, by, factor), grown(width, by, factor)};
  }
  return near;
}

void write_patch_rows(const PreparedPicture& picture, const PatchShape& shape, std::int64_t step,
                      float* out) {
  const auto [size, frames, merge] = shape;
  const auto last = std::int64_t(picture.tiles.size()) - 1;
  const std::int64_t width = picture.tiles[0].width;
  const std::int64_t rows = picture.tiles[0].height / (size * merge), cols = width / (size * merge);
  for (std::int64_t block = 0; block < rows * cols; block++) {
    for (std::int64_t inner = 0; inner < merge * merge; inner++) {
      const std::int64_t top = (block / cols * merge + inner / merge) * size;
      const std::int64_t left = (block % cols * merge + inner % merge) * size;
      for (std::size_t c = 0; c < 3; c++) {
        for (std::int64_t f = 0; f < frames; f++) {
          const Tile& tile = picture.tiles[std::size_t(std::min(step * frames + f, last))];
          for (std::int64_t y = top; y < top + size; y++) {
            const std::uint8_t* pixel = tile.rgb.data() + (y * width + left) * 3 + c;
            for (std::int64_t x = 0; x < size; x++) *out++ = picture.levels[c][pixel[3 * x]];
          }
        }
      }
    }
  }
}

QwenVlProcessor::QwenVlProcessor(const Json& config, ResizeOrder order)
    : order_(order),
      pixels_(read_pixel_settings(config, Filter::bicubic, kClipNormalization)),
      resize_(config.boolean("do_resize", true)),
      patch_{bounded(config, "patch_size", 14, 1, 1024),
             bounded(config, "temporal_patch_size", 2, 1, 16),
             bounded(config, "merge_size", 2, 1, 16)} {
  SizeRule size =
      read_size(config, "size", {.shortest_edge = 56 * 56, .longest_edge = 28 * 28 * 1280},
                LoneSize::shortest_edge, kMostArea);
  least_ = bounded(config, "min_pixels", size.shortest_edge, 1, kMostArea);
  most_ = bounded(config, "max_pixels", size.longest_edge, 1, kMostArea);
  if (least_ < 1 || most_ < 1) {
    fail<ModelError>(config["size"].where(), ": ", config["size"].brief(),
                     ", expected \"shortest_edge\" and \"longest_edge\"");
  }
}

QwenVlProcessor QwenVlProcessor::load(const std::filesystem::path& folder, ResizeOrder order) {
  return QwenVlProcessor(image_processor_settings(folder), order);
}

PictureSize QwenVlProcessor::resized(std::int64_t width, std::int64_t height) const {
  const std::int64_t factor = patch_.size * patch_.merge;
  if (resize_) return smart_resize({height, width}, factor, least_, most_);
  check_source({height, width});
  if (height % factor != 0 || width % factor != 0) {
    fail<MediaError>("an image of ", width, " x ", height,
                     " pixels: this model takes multiples of ", factor,
                     " and its settings say not to resize");
  }
  return {height, width};
}

PatchGrid QwenVlProcessor::layout(std::int64_t width, std::int64_t height) const {
  const PictureSize size = resized(width, height);
  return {1, size.height / patch_.size, size.width / patch_.size};
}

PreparedPicture QwenVlProcessor::operator()(const Context& ctx, const Image& image) const {
  const PictureSize size = resized(image.width, image.height);
  ctx.poll();
  PreparedPicture out;
  out.source_height = image.height;
  out.source_width = image.width;
  out.levels = pixels_.levels;
  out.tiles.push_back(as_tile(resize(ctx, image, size.width, size.height, pixels_.filter, order_)));
  return out;
}

}  // namespace chiasm::vision
