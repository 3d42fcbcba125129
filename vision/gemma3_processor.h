#pragma once
/// Preprocessing of Gemma 3: the picture is squashed to a square; pan-and-scan, off unless asked
/// for, adds such squares of its parts. Source: transformers 5.23, Gemma3ImageProcessor as
/// Gemma3Processor calls it: that one leaves pan-and-scan off and gives its limits, whatever the
/// settings say. Gemma Team, 2025, arXiv:2503.19786.
#include <filesystem>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/resize.h"

namespace chiasm::vision {

class Gemma3Processor {
 public:
  /// `config`: the image processor's settings. ModelError for what cannot be followed exactly.
  explicit Gemma3Processor(const Json& config, bool pan_and_scan = false,
                           ResizeOrder order = ResizeOrder::torchvision);

  static Gemma3Processor load(const std::filesystem::path& folder, bool pan_and_scan = false,
                              ResizeOrder order = ResizeOrder::torchvision);

  /// Prepares an upright RGB picture: the whole first, then its parts from left to right or from
  /// top to bottom, if any. MediaError when it is empty or too thin to be resized.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// The tiles of a picture of this size, without its pixels. `rows` x `cols` are its parts.
  TileLayout layout(std::int64_t width, std::int64_t height) const;

 private:
  ResizeOrder order_;
  PixelSettings pixels_;
  bool resize_ = true, pan_and_scan_ = false;
  SizeRule size_;
};

}  // namespace chiasm::vision
