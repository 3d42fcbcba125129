#include "vision/plain_processor.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "vision/crop.h"

namespace chiasm::vision {

namespace {

PlainKind kind_of(const Json& config, PlainKind otherwise) {
  if (otherwise == PlainKind::onevision_frame || !config.has("image_processor_type")) {
    return otherwise;
  }
  std::string type = config["image_processor_type"].str();
  if (type.ends_with("Fast")) type.resize(type.size() - 4);
  if (type == "CLIPImageProcessor") return PlainKind::clip;
  if (type == "LlavaImageProcessor") return PlainKind::llava;
  if (type == "SiglipImageProcessor") return PlainKind::siglip;
  fail<ModelError>(config["image_processor_type"].where(), ": ", type, ", expected ",
                   "CLIPImageProcessor, LlavaImageProcessor or SiglipImageProcessor");
}

}  // namespace

PlainProcessor::PlainProcessor(const Json& config, PlainKind kind, ResizeOrder order)
    : order_(order) {
  kind = kind_of(config, kind);
  const bool siglip = kind == PlainKind::siglip, frame = kind == PlainKind::onevision_frame;
  pixels_ = read_pixel_settings(config, Filter::bicubic,
                                siglip ? kHalfNormalization : kClipNormalization);
  resize_ = config.boolean("do_resize", true);
  centre_crop_ = config.boolean("do_center_crop", !siglip && !frame);
  const SizeRule usual = frame    ? SizeRule{.height = 384, .width = 384}
                         : siglip ? SizeRule{.height = 224, .width = 224}
                                  : SizeRule{.shortest_edge = 224};
  size_ = read_size(config, "size", usual, LoneSize::shortest_edge);
  const SizeRule crop =
      read_size(config, "crop_size", {.height = 224, .width = 224}, LoneSize::square);
  if (centre_crop_ && !crop.is_fixed()) {
    fail<ModelError>(config.where(), ".crop_size: expected \"height\" and \"width\"");
  }
  crop_ = {crop.height, crop.width};
  const bool pad = config.boolean("do_pad", false);
  square_ = pad && kind == PlainKind::llava;
  if (pad && !square_ && config.has("pad_size")) {
    fail<ModelError>(config["pad_size"].where(), ": padding after normalisation is not supported");
  }
}

PlainProcessor PlainProcessor::load(const std::filesystem::path& folder, PlainKind kind,
                                    ResizeOrder order) {
  return PlainProcessor(image_processor_settings(folder), kind, order);
}

PictureSize PlainProcessor::squared(PictureSize source) const {
  const std::int64_t side = std::max(source.width, source.height);
  return square_ ? PictureSize{side, side} : source;
}

PictureSize PlainProcessor::resized_from(PictureSize source) const {
  return resize_ ? resized(size_, squared(source)) : squared(source);
}

TileLayout PlainProcessor::layout(std::int64_t width, std::int64_t height) const {
  check_source({height, width});
  return {{centre_crop_ ? crop_ : resized_from({height, width})}};
}

Region PlainProcessor::shown(std::int64_t width, std::int64_t height) const {
  const PictureSize source{height, width}, square = squared(source);
  const Border border = centred_border(source, square);
  return cut_region(square, resized_from(source), layout(width, height).tiles[0])
      .moved(-double(border.left), -double(border.top));
}

PreparedPicture PlainProcessor::operator()(const Context& ctx, const Image& image) const {
  const PictureSize source{image.height, image.width};
  check_source(source);
  const PictureSize size = resized_from(source);
  const CentreCut cut = centre_cut(size, centre_crop_ ? crop_ : size);
  ctx.poll();
  const Border border = centred_border(source, squared(source));
  const Image square = square_ ? pad(image, border, pixels_.mean_colour()) : Image{};
  Image picture = resize_region(ctx, square_ ? square : image, size.width, size.height, cut.box,
                                pixels_.filter, order_);
  PreparedPicture out;
  out.source_height = image.height;
  out.source_width = image.width;
  out.levels = pixels_.levels;
  out.tiles.push_back(as_tile(pad(std::move(picture), cut.border)));
  return out;
}

}  // namespace chiasm::vision
