#include "vision/gemma3_processor.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "vision/crop.h"

namespace chiasm::vision {

namespace {

/// Into how many equal parts pan-and-scan cuts the longer side; 0 for none.
std::int64_t parts_of(const PanAndScan& limits, std::int64_t longer, std::int64_t shorter) {
  const double ratio = double(longer) / double(shorter);
  if (ratio < limits.least_ratio) return 0;
  const auto near = std::int64_t(std::floor(ratio + 0.5));
  const std::int64_t parts =
      std::clamp<std::int64_t>(std::min(longer / limits.least_part, near), 2, limits.most_parts);
  return std::min((longer + parts - 1) / parts, shorter) < limits.least_part ? 0 : parts;
}

/// The parts of a picture, from left to right or from top to bottom; the last may be smaller.
std::vector<Box> part_boxes(const TileLayout& cut, PictureSize source) {
  std::vector<Box> out;
  if (cut.rows == 0) return out;
  const std::int64_t width = (source.width + cut.cols - 1) / cut.cols;
  const std::int64_t height = (source.height + cut.rows - 1) / cut.rows;
  for (std::int64_t y = 0; y < source.height; y += height) {
    for (std::int64_t x = 0; x < source.width; x += width) {
      out.push_back({x, y, std::min(width, source.width - x), std::min(height, source.height - y)});
    }
  }
  return out;
}

}  // namespace

std::optional<PanAndScan> PanAndScan::from_json(const Json& config) {
  if (!config.boolean("do_pan_and_scan", false)) return std::nullopt;
  PanAndScan out;
  out.least_part = bounded(config, "pan_and_scan_min_crop_size", out.least_part, 1, 1 << 16);
  out.most_parts = bounded(config, "pan_and_scan_max_num_crops", out.most_parts, 2, 64);
  out.least_ratio = config.number("pan_and_scan_min_ratio_to_activate", out.least_ratio);
  return out;
}

Gemma3Processor::Gemma3Processor(const Json& config, std::optional<PanAndScan> pan_and_scan,
                                 ResizeOrder order)
    : order_(order),
      pixels_(read_pixel_settings(config, Filter::bilinear, kHalfNormalization)),
      resize_(config.boolean("do_resize", true)),
      pan_and_scan_(pan_and_scan),
      size_(read_size(config, "size", {.height = 224, .width = 224}, LoneSize::square)) {
  if (pan_and_scan && !size_.is_fixed()) {
    fail<ModelError>(config["size"].where(), ": ", config["size"].brief(),
                     ", expected \"height\" and \"width\" for pan-and-scan");
  }
}

Gemma3Processor Gemma3Processor::load(const std::filesystem::path& folder, ResizeOrder order) {
  const Json settings = image_processor_settings(folder);
  return Gemma3Processor(settings, PanAndScan::from_json(settings), order);
}

TileLayout Gemma3Processor::layout(std::int64_t width, std::int64_t height) const {
  const PictureSize source{height, width};
  check_source(source);
  // Pan-and-scan resizes even when told not to.
  const PictureSize tile = resize_ || pan_and_scan_ ? resized(size_, source) : source;
  const std::int64_t parts =
      pan_and_scan_ ? parts_of(*pan_and_scan_, std::max(width, height), std::min(width, height))
                    : 0;
  if (parts == 0) return {{tile}};
  const bool wide = width >= height;
  return {std::vector(std::size_t(parts + 1), tile), wide ? 1 : parts, wide ? parts : 1};
}

PreparedPicture Gemma3Processor::operator()(const Context& ctx, const Image& image) const {
  const TileLayout cut = layout(image.width, image.height);
  ctx.poll();
  PreparedPicture out;
  out.rows = cut.rows;
  out.cols = cut.cols;
  out.source_height = image.height;
  out.source_width = image.width;
  out.levels = pixels_.levels;
  const PictureSize size = cut.tiles[0];
  const auto add = [&](const Image& part) {
    out.tiles.push_back(
        as_tile(resize(ctx, part, size.width, size.height, pixels_.filter, order_)));
  };
  add(image);
  for (const Box& part : part_boxes(cut, {image.height, image.width})) add(crop(image, part));
  return out;
}

std::vector<Region> Gemma3Processor::shown(std::int64_t width, std::int64_t height) const {
  const PictureSize source{height, width};
  std::vector<Region> out{Region::whole(source)};
  for (const Box& part : part_boxes(layout(width, height), source)) {
    out.push_back(Region{0, 0, double(part.width), double(part.height)}.moved(double(part.left),
                                                                              double(part.top)));
  }
  return out;
}

}  // namespace chiasm::vision
