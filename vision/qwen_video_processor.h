#pragma once
/// Preprocessing of videos for Qwen2-VL, Qwen2.5-VL and Qwen3-VL: all frames get one size, which
/// depends on their number; patches are cubes of some frames. Source: transformers 5.23,
/// Qwen2VLVideoProcessor (of the first two) and Qwen3VLVideoProcessor.
#include <filesystem>

#include "core/context.h"
#include "core/json.h"
#include "vision/frame_sampling.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/qwen_vl_processor.h"
#include "vision/resize.h"

namespace chiasm::vision {

enum class QwenVideoKind { qwen2_vl, qwen3_vl };

class QwenVideoProcessor {
 public:
  /// `config`: the video processor's settings. ModelError for what cannot be followed exactly.
  QwenVideoProcessor(const Json& config, QwenVideoKind kind,
                     ResizeOrder order = ResizeOrder::torchvision);

  /// Reads the settings in `folder`; see video_processor_settings.
  static QwenVideoProcessor load(const std::filesystem::path& folder, QwenVideoKind kind,
                                 ResizeOrder order = ResizeOrder::torchvision);

  const PatchShape& patch() const { return patch_; }
  /// Whether the settings say to sample frames (all are taken otherwise), and by which rule.
  /// Qwen2-VL's has neither frames nor fps unless the settings give one.
  bool samples() const { return samples_; }
  const SamplingRule& rule() const { return rule_; }
  FrameSampling way() const {
    return kind_ == QwenVideoKind::qwen2_vl ? FrameSampling::qwen2_vl : FrameSampling::qwen3_vl;
  }

  /// The size of all frames of a video, and its grid. MediaError when it has too few frames or is
  /// too thin.
  PictureSize resized(std::int64_t frames, std::int64_t width, std::int64_t height) const;
  PatchGrid layout(std::int64_t frames, std::int64_t width, std::int64_t height) const;
  std::int64_t tokens(const PatchGrid& grid) const {
    return grid.patches() / (patch_.merge * patch_.merge);
  }

  /// Adds one upright RGB frame as a tile of `size`; `write_patch_rows` then makes rows of the
  /// tiles. A video may be prepared step by step: `patch().frames` frames are all that a step
  /// needs.
  void add_frame(const Context& ctx, const Image& frame, PictureSize size,
                 PreparedPicture& video) const;

 private:
  std::int64_t most_area(std::int64_t frames) const;

  QwenVideoKind kind_;
  ResizeOrder order_;
  PixelSettings pixels_;
  bool resize_ = true, capped_ = false, samples_ = false;
  PatchShape patch_;
  std::int64_t least_ = 0, most_ = 0;  // pixels of a frame (Qwen2-VL), of all (Qwen3-VL)
  std::int64_t max_tokens_ = 0;
  SamplingRule rule_;
};

}  // namespace chiasm::vision
