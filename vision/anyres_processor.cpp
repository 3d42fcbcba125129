#include "vision/anyres_processor.h"

#include <algorithm>

#include "core/error.h"
#include "vision/anyres.h"
#include "vision/crop.h"

namespace chiasm::vision {

namespace {

std::vector<PictureSize> usual_resolutions(AnyresKind kind) {
  if (kind == AnyresKind::llava_next) {
    return {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
  }
  std::vector<PictureSize> all;
  for (std::int64_t rows = 1; rows <= 6; rows++) {
    for (std::int64_t cols = 1; cols <= 6; cols++) all.push_back({384 * rows, 384 * cols});
  }
  return all;
}

/// "image_grid_pinpoints": [[height, width], ...], multiples of `step`.
std::vector<PictureSize> read_resolutions(const Json& config, AnyresKind kind, std::int64_t step) {
  constexpr std::string_view key = "image_grid_pinpoints";
  std::vector<PictureSize> all;
  if (config.has(key)) {
    const Json list = config[key];
    for (std::size_t i = 0; i < list.size(); i++) {
      const auto sides = list[i].integers();
      if (sides.size() != 2) fail<ModelError>(list[i].where(), ": expected [height, width]");
      all.push_back({sides[0], sides[1]});
    }
  } else {
    all = usual_resolutions(kind);
  }
  if (all.empty()) fail<ModelError>(config.where(), ".", key, ": is empty");
  constexpr std::int64_t most = 1 << 14;
  for (const auto& [height, width] : all) {
    if (std::min(height, width) < 1 || std::max(height, width) > most || height % step != 0 ||
        width % step != 0) {
      fail<ModelError>(config.where(), ".", key, ": [", height, ", ", width,
                       "], expected multiples of ", step, " pixels, at most ", most);
    }
  }
  return all;
}

}  // namespace

AnyresProcessor::AnyresProcessor(const Json& config, AnyresKind kind, ResizeOrder order)
    : order_(order),
      pixels_(read_pixel_settings(config, Filter::bicubic, kClipNormalization)),
      resize_(config.boolean("do_resize", true)) {
  const bool next = kind == AnyresKind::llava_next;
  centre_crop_ = config.boolean("do_center_crop", next);
  size_ = read_size(config, "size",
                    next ? SizeRule{.shortest_edge = 224} : SizeRule{.height = 384, .width = 384},
                    LoneSize::shortest_edge);
  const SizeRule usual = next ? SizeRule{.height = 224, .width = 224} : SizeRule{};
  const SizeRule crop = read_size(config, "crop_size", usual, LoneSize::square);
  crop_ = {crop.height, crop.width};
  if (centre_crop_ && !crop.is_fixed()) {
    fail<ModelError>(config.where(), ".crop_size: expected \"height\" and \"width\"");
  }
  if (!size_.is_fixed() && size_.shortest_edge == 0) {
    fail<ModelError>(config["size"].where(), ": ", config["size"].brief(),
                     ", expected \"shortest_edge\", or \"height\" and \"width\"");
  }
  base_ = size_.is_fixed() ? PictureSize{size_.height, size_.width}
                           : PictureSize{size_.shortest_edge, size_.shortest_edge};
  piece_ = crop.height > 0 ? crop.height : base_.height;
  // Only a cut around their middle makes tiles of one size of the pieces at an uneven edge.
  resolutions_ = read_resolutions(config, kind, centre_crop_ ? 1 : piece_);
  if (tile_size(base_) != tile_size({piece_, piece_})) {
    fail<ModelError>(config.where(), ": size and crop_size give tiles of different sizes");
  }
}

AnyresProcessor AnyresProcessor::load(const std::filesystem::path& folder, AnyresKind kind,
                                      ResizeOrder order) {
  return AnyresProcessor(image_processor_settings(folder), kind, order);
}

PictureSize AnyresProcessor::tile_size(PictureSize piece) const {
  if (centre_crop_) return crop_;
  return resize_ ? resized(size_, piece) : piece;
}

Region AnyresProcessor::tile_shown(PictureSize piece) const {
  return cut_region(piece, resize_ ? resized(size_, piece) : piece, tile_size(piece));
}

Tile AnyresProcessor::tile(const Context& ctx, const Image& piece) const {
  const PictureSize from{piece.height, piece.width};
  const PictureSize size = resize_ ? resized(size_, from) : from;
  const CentreCut cut = centre_cut(size, tile_size(from));
  return as_tile(
      pad(resize_region(ctx, piece, size.width, size.height, cut.box, pixels_.filter, order_),
          cut.border));
}

TileLayout AnyresProcessor::layout(std::int64_t width, std::int64_t height) const {
  check_source({height, width});
  const PictureSize target = best_resolution({height, width}, resolutions_);
  const std::int64_t rows = (target.height + piece_ - 1) / piece_;
  const std::int64_t cols = (target.width + piece_ - 1) / piece_;
  return {std::vector(std::size_t(rows * cols + 1), tile_size(base_)), rows, cols};
}

PreparedPicture AnyresProcessor::empty(const Image& image) const {
  check_source({image.height, image.width});
  PreparedPicture out;
  out.source_height = image.height;
  out.source_width = image.width;
  out.levels = pixels_.levels;
  return out;
}

PreparedPicture AnyresProcessor::operator()(const Context& ctx, const Image& image) const {
  PreparedPicture out = empty(image);
  const PictureSize source{image.height, image.width};
  const PictureSize target = best_resolution(source, resolutions_);
  const PictureSize fitted = fitted_size(source, target);
  out.rows = (target.height + piece_ - 1) / piece_;
  out.cols = (target.width + piece_ - 1) / piece_;

  ctx.poll();
  out.tiles.push_back(
      tile(ctx, resize(ctx, image, base_.width, base_.height, pixels_.filter, order_)));
  ctx.poll();
  const Image padded = pad(resize(ctx, image, fitted.width, fitted.height, pixels_.filter, order_),
                           centred_border(fitted, target));
  for (std::int64_t y = 0; y < padded.height; y += piece_) {
    for (std::int64_t x = 0; x < padded.width; x += piece_) {
      const Box piece{x, y, std::min(piece_, padded.width - x),
                      std::min(piece_, padded.height - y)};
      out.tiles.push_back(tile(ctx, crop(padded, piece)));
    }
  }
  return out;
}

PreparedPicture AnyresProcessor::whole(const Context& ctx, const Image& image) const {
  PreparedPicture out = empty(image);
  const std::int64_t side = std::max(image.width, image.height);
  const Border border = centred_border({image.height, image.width}, {side, side});
  ctx.poll();
  out.tiles.push_back(tile(ctx, pad(image, border, pixels_.mean_colour())));
  return out;
}

std::vector<Region> AnyresProcessor::shown(std::int64_t width, std::int64_t height) const {
  const PictureSize source{height, width};
  check_source(source);
  std::vector<Region> out{tile_shown(base_).scaled(double(width) / double(base_.width),
                                                   double(height) / double(base_.height))};
  const PictureSize target = best_resolution(source, resolutions_);
  const PictureSize fitted = fitted_size(source, target);
  const Border border = centred_border(fitted, target);
  for (std::int64_t y = 0; y < target.height; y += piece_) {
    for (std::int64_t x = 0; x < target.width; x += piece_) {
      out.push_back(
          tile_shown({std::min(piece_, target.height - y), std::min(piece_, target.width - x)})
              .moved(double(x - border.left), double(y - border.top))
              .scaled(double(width) / double(fitted.width),
                      double(height) / double(fitted.height)));
    }
  }
  return out;
}

Region AnyresProcessor::whole_shown(std::int64_t width, std::int64_t height) const {
  const PictureSize source{height, width};
  const std::int64_t side = std::max(width, height);
  const Border border = centred_border(source, {side, side});
  return tile_shown({side, side}).moved(-double(border.left), -double(border.top));
}

}  // namespace chiasm::vision
