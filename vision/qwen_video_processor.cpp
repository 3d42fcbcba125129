#include "vision/qwen_video_processor.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "vision/crop.h"

namespace chiasm::vision {

namespace {

constexpr std::int64_t kMostArea = std::int64_t(1) << 40;  // pixels of all frames

/// Qwen3-VL: multiples of `factor` for which frames * height * width is between `least` and `most`.
PictureSize smart_resize_video(std::int64_t frames, PictureSize source, const PatchShape& patch,
                               std::int64_t least, std::int64_t most) {
  const std::int64_t factor = patch.size * patch.merge;
  auto [height, width] = source;
  if (frames < patch.frames) {
    fail<MediaError>("a video of ", frames, " frames, expected at least ", patch.frames);
  }
  if (height < factor || width < factor) {
    const double scale = std::max(double(factor) / double(height), double(factor) / double(width));
    height = std::int64_t(double(height) * scale);
    width = std::int64_t(double(width) * scale);
  }
  if (std::min(height, width) < 1 ||
      double(std::max(height, width)) / double(std::min(height, width)) > 200) {
    fail<MediaError>("frames of ", source.width, " x ", source.height,
                     " pixels are too thin: one side may be at most 200 times the other");
  }
  const auto near = [](std::int64_t value, std::int64_t step) {  // Python's round: half to even
    return std::int64_t(std::nearbyint(double(value) / double(step))) * step;
  };
  const PictureSize out{near(height, factor), near(width, factor)};
  const std::int64_t volume = near(frames, patch.frames) * out.height * out.width;
  const auto exact = double(frames * height * width);
  if (volume > most) {
    const double by = std::sqrt(exact / double(most));
    const auto down = [&](std::int64_t side) {
      return std::max(factor,
                      std::int64_t(std::floor(double(side) / by / double(factor))) * factor);
    };
    return {down(height), down(width)};
  }
  if (volume < least) {
    const double by = std::sqrt(double(least) / exact);
    const auto up = [&](std::int64_t side) {
      return std::int64_t(std::ceil(double(side) * by / double(factor))) * factor;
    };
    return {up(height), up(width)};
  }
  return out;
}

}  // namespace

QwenVideoProcessor::QwenVideoProcessor(const Json& config, QwenVideoKind kind, ResizeOrder order)
    : kind_(kind), order_(order) {
  const bool third = kind == QwenVideoKind::qwen3_vl;
  const std::int64_t side = third ? 32 : 28;  // pixels of a token
  pixels_ =
      read_pixel_settings(config, Filter::bicubic, third ? kHalfNormalization : kClipNormalization);
  resize_ = config.boolean("do_resize", true);
  capped_ = config.boolean("cap_pixels_per_frame", false);
  samples_ = config.boolean("do_sample_frames", third);
  patch_ = {bounded(config, "patch_size", third ? 16 : 14, 1, 1024),
            bounded(config, "temporal_patch_size", 2, 1, 16),
            bounded(config, "merge_size", 2, 1, 16)};
  const SizeRule size = read_size(
      config, "size", {.shortest_edge = 128 * side * side, .longest_edge = 768 * side * side},
      LoneSize::shortest_edge, kMostArea);
  least_ = size.shortest_edge;
  most_ = size.longest_edge;
  if (!third) {
    least_ = bounded(config, "min_pixels", least_, 1, kMostArea);
    most_ = bounded(config, "max_pixels", most_, 1, kMostArea);
  }
  if (least_ < 1 || most_ < 1) {
    fail<ModelError>(config["size"].where(), ": ", config["size"].brief(),
                     ", expected \"shortest_edge\" and \"longest_edge\"");
  }
  max_tokens_ = bounded(config, "max_video_tokens", third ? 768 : 128000, 1, kMostArea);
  rule_.frames = bounded(config, "num_frames", 0, 1, 1 << 20);
  rule_.fps = config.number("fps", third && rule_.frames == 0 ? 2 : 0);
  rule_.least = bounded(config, "min_frames", 4, 1, 1 << 20);
  rule_.most = bounded(config, "max_frames", 768, 1, 1 << 20);
  rule_.together = patch_.frames;
}

QwenVideoProcessor QwenVideoProcessor::load(const std::filesystem::path& folder, QwenVideoKind kind,
                                            ResizeOrder order) {
  return QwenVideoProcessor(video_processor_settings(folder), kind, order);
}

/// `most_`, or less where each frame is limited to its share of a budget.
std::int64_t QwenVideoProcessor::most_area(std::int64_t frames) const {
  if (!capped_) return most_;
  const std::int64_t token = patch_.size * patch_.merge * patch_.size * patch_.merge;
  const auto floor = std::int64_t(double(least_) * 1.05);
  if (kind_ == QwenVideoKind::qwen3_vl) {
    return std::max(std::min(max_tokens_ * token, most_ / frames), floor) * frames;
  }
  const auto total = std::int64_t(double(max_tokens_ * token) * 0.9);
  return std::max(std::min(most_, total * patch_.frames / frames), floor);
}

PictureSize QwenVideoProcessor::resized(std::int64_t frames, std::int64_t width,
                                        std::int64_t height) const {
  const PictureSize source{height, width};
  check_source(source);
  if (frames < 1) fail<MediaError>("a video without frames");
  const std::int64_t factor = patch_.size * patch_.merge;
  if (!resize_) {
    if (height % factor == 0 && width % factor == 0) return source;
    fail<MediaError>("frames of ", width, " x ", height, " pixels: this model takes multiples of ",
                     factor, " and its settings say not to resize");
  }
  return kind_ == QwenVideoKind::qwen3_vl
             ? smart_resize_video(frames, source, patch_, least_, most_area(frames))
             : smart_resize(source, factor, least_, most_area(frames));
}

PatchGrid QwenVideoProcessor::layout(std::int64_t frames, std::int64_t width,
                                     std::int64_t height) const {
  const PictureSize size = resized(frames, width, height);
  return {(frames + patch_.frames - 1) / patch_.frames, size.height / patch_.size,
          size.width / patch_.size};
}

void QwenVideoProcessor::add_frame(const Context& ctx, const Image& frame, PictureSize size,
                                   PreparedPicture& video) const {
  ctx.poll();
  video.source_height = frame.height;
  video.source_width = frame.width;
  video.levels = pixels_.levels;
  video.tiles.push_back(
      as_tile(resize(ctx, frame, size.width, size.height, pixels_.filter, order_)));
}

}  // namespace chiasm::vision
