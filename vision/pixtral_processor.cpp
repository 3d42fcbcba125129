#include "vision/pixtral_processor.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "vision/crop.h"

namespace chiasm::vision {

PixtralProcessor::PixtralProcessor(const Json& config, std::int64_t token, ResizeOrder order)
    : order_(order),
      pixels_(read_pixel_settings(config, Filter::bicubic, kClipNormalization)),
      resize_(config.boolean("do_resize", true)),
      token_(token) {
  if (token < 1 || token > 4096)
    fail<ModelError>("a token of ", token, " pixels, expected 1 to 4096");
  if (config.boolean("do_center_crop", false)) {
    fail<ModelError>(config["do_center_crop"].where(), ": is not supported");
  }
  const SizeRule size =
      read_size(config, "size", {.longest_edge = 1024}, LoneSize::square, std::int64_t(1) << 14);
  if (size.longest_edge > 0) {
    most_ = {size.longest_edge, size.longest_edge};
  } else if (size.is_fixed()) {
    most_ = {size.height, size.width};
  } else {
    fail<ModelError>(config["size"].where(), ": ", config["size"].brief(),
                     ", expected \"longest_edge\", or \"height\" and \"width\"");
  }
}

PixtralProcessor PixtralProcessor::load(const std::filesystem::path& folder, ResizeOrder order) {
  const Json processor = processor_settings(folder);
  const std::int64_t token = bounded(processor, "patch_size", 16, 1, 1024) *
                             bounded(processor, "spatial_merge_size", 1, 1, 16);
  return PixtralProcessor(image_processor_settings(folder), token, order);
}

PictureSize PixtralProcessor::resized(std::int64_t width, std::int64_t height) const {
  PictureSize size{height, width};
  check_source(size);
  if (!resize_) return size;
  const double ratio =
      std::max(double(height) / double(most_.height), double(width) / double(most_.width));
  if (ratio > 1) {
    size = {std::int64_t(std::floor(double(height) / ratio)),
            std::int64_t(std::floor(double(width) / ratio))};
  }
  if (size.height < 1 || size.width < 1) {
    fail<MediaError>("an image of ", width, " x ", height,
                     " pixels is too thin: shrunk, a side would be 0");
  }
  return {(size.height + token_ - 1) / token_ * token_,
          (size.width + token_ - 1) / token_ * token_};
}

TokenRows PixtralProcessor::layout(std::int64_t width, std::int64_t height) const {
  const PictureSize size = resized(width, height);
  return {size.height / token_, size.width / token_};
}

PreparedPicture PixtralProcessor::operator()(const Context& ctx, const Image& image) const {
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
