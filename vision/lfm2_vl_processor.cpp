#include "vision/lfm2_vl_processor.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "vision/crop.h"
#include "vision/tile_choice.h"

namespace chiasm::vision {

namespace {

/// Python's round(): half to even.
std::int64_t round_to(std::int64_t value, std::int64_t factor) {
  return std::int64_t(std::nearbyint(double(value) / double(factor))) * factor;
}

}  // namespace

Lfm2VlProcessor::Lfm2VlProcessor(const Json& config, ResizeOrder order)
    : order_(order),
      pixels_(read_pixel_settings(config, Filter::bilinear, kHalfNormalization)),
      patch_(bounded(config, "encoder_patch_size", 16, 1, 1024)),
      merge_(bounded(config, "downsample_factor", 2, 1, 16)),
      least_tokens_(bounded(config, "min_image_tokens", 64, 1, 1 << 16)),
      most_tokens_(bounded(config, "max_image_tokens", 256, 1, 1 << 16)),
      tile_(bounded(config, "tile_size", 512, 1, 4096)),
      least_tiles_(bounded(config, "min_tiles", 2, 1, 4096)),
      most_tiles_(bounded(config, "max_tiles", 10, 1, 4096)),
      tolerance_(config.number("max_pixels_tolerance", 2)),
      split_(config.boolean("do_image_splitting", true)),
      whole_(config.boolean("use_thumbnail", true)) {
  if (split_ && least_tiles_ > most_tiles_) {
    fail<ModelError>(config.where(), ".min_tiles: ", least_tiles_, ", over max_tiles, ",
                     most_tiles_);
  }
  if (split_ && tile_ % patch_ != 0) {
    fail<ModelError>(config.where(), ".tile_size: ", tile_, ", expected whole patches of ", patch_);
  }
  const std::int64_t along = split_ ? tile_ / patch_ : 0;
  max_patches_ = std::max(most_tokens_ * merge_ * merge_, along * along);
  split_ = split_ && most_tiles_ > 1;
}

Lfm2VlProcessor Lfm2VlProcessor::load(const std::filesystem::path& folder, ResizeOrder order) {
  return Lfm2VlProcessor(image_processor_settings(folder), order);
}

/// transformers' smart_resize, whose sides are whole tokens.
PictureSize Lfm2VlProcessor::whole_size(PictureSize source) const {
  const auto [height, width] = source;
  const std::int64_t factor = patch_ * merge_;
  const std::int64_t least = least_tokens_ * factor * factor;
  const std::int64_t most = most_tokens_ * factor * factor;
  const PictureSize near{std::max(factor, round_to(height, factor)),
                         std::max(factor, round_to(width, factor))};
  const auto area = double(height * width);
  if (near.height * near.width > most) {
    const double by = std::sqrt(area / double(most));
    const auto down = [&](std::int64_t side) {
      return std::max(factor,
                      std::int64_t(std::floor(double(side) / by / double(factor))) * factor);
    };
    return {down(height), down(width)};
  }
  if (near.height * near.width < least) {
    const double by = std::sqrt(double(least) / area);
    const auto up = [&](std::int64_t side) {
      return std::int64_t(std::ceil(double(side) * by / double(factor))) * factor;
    };
    return {up(height), up(width)};
  }
  return near;
}

bool Lfm2VlProcessor::is_large(PictureSize source) const {
  const std::int64_t factor = patch_ * merge_;
  const std::int64_t height = std::max(patch_, round_to(source.height, factor));
  const std::int64_t width = std::max(patch_, round_to(source.width, factor));
  return double(height * width) > double(most_tokens_ * factor * factor) * tolerance_;
}

TileLayout Lfm2VlProcessor::layout(std::int64_t width, std::int64_t height) const {
  const PictureSize source{height, width};
  check_source(source);
  TileLayout cut;
  if (split_ && is_large(source)) {
    const TileShape grid = closest_grid(source, {tile_, tile_}, least_tiles_, most_tiles_);
    cut = {std::vector(std::size_t(grid.rows * grid.cols), PictureSize{tile_, tile_}), grid.rows,
           grid.cols};
  }
  if (cut.tiles.empty() || (whole_ && cut.tiles.size() > 1)) {
    cut.tiles.push_back(whole_size(source));
    const auto [down, across] = patches(cut.tiles.back());
    if (down * across > max_patches_) {  // the reference's mask would be too short for it
      fail<MediaError>("an image of ", width, " x ", height, " pixels is too thin: it would need ",
                       down * across, " patches of at most ", max_patches_);
    }
  }
  return cut;
}

std::int64_t Lfm2VlProcessor::tokens(PictureSize tile) const {
  const auto [down, across] = patches(tile);
  return ((down + merge_ - 1) / merge_) * ((across + merge_ - 1) / merge_);
}

PreparedPicture Lfm2VlProcessor::operator()(const Context& ctx, const Image& image) const {
  const TileLayout cut = layout(image.width, image.height);
  PreparedPicture out;
  out.rows = cut.rows;
  out.cols = cut.cols;
  out.source_height = image.height;
  out.source_width = image.width;
  out.levels = pixels_.levels;
  const auto resized = [&](std::int64_t height, std::int64_t width) {
    ctx.poll();
    return resize(ctx, image, width, height, pixels_.filter, order_);
  };
  if (cut.rows > 0) {
    append_tiles(resized(tile_ * cut.rows, tile_ * cut.cols), {tile_, tile_}, out.tiles);
  }
  if (out.tiles.size() < cut.tiles.size()) {
    const auto [height, width] = cut.tiles.back();
    out.tiles.push_back(as_tile(resized(height, width)));
  }
  return out;
}

void Lfm2VlProcessor::write_patch_rows(const PreparedPicture& picture, std::int64_t tile,
                                       float* out) const {
  const Tile& from = picture.tile(tile);
  for (std::int64_t top = 0; top + patch_ <= from.height; top += patch_) {
    for (std::int64_t left = 0; left + patch_ <= from.width; left += patch_) {
      for (std::int64_t y = top; y < top + patch_; y++) {
        const std::uint8_t* row = from.rgb.data() + (y * from.width + left) * 3;
        for (std::int64_t i = 0; i < 3 * patch_; i++) {
          *out++ = picture.levels[std::size_t(i % 3)][row[i]];
        }
      }
    }
  }
}

}  // namespace chiasm::vision
