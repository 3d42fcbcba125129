#pragma once
/// Preprocessing of Gemma 3: the picture is squashed to a square; pan-and-scan, off unless asked
/// for, adds such squares of its parts. Source: transformers 5.23, Gemma3ImageProcessor as
/// Gemma3Processor calls it. Gemma Team, 2025, arXiv:2503.19786.
#include <filesystem>
#include <optional>
#include <vector>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/region.h"
#include "vision/resize.h"

namespace chiasm::vision {

/// When a picture is cut, and into how many parts. The values are Gemma3Processor's own.
struct PanAndScan {
  std::int64_t least_part = 256;  // pixels, both ways
  std::int64_t most_parts = 4;
  double least_ratio = 1.2;  // long side : short side

  /// What the image processor's settings ask for with "do_pan_and_scan" and its limits. The
  /// reference hears these only as options of its call: who writes them into a folder means them.
  static std::optional<PanAndScan> from_json(const Json& config);
};

class Gemma3Processor {
 public:
  /// `config`: the image processor's settings. ModelError for what cannot be followed exactly.
  explicit Gemma3Processor(const Json& config, std::optional<PanAndScan> pan_and_scan = {},
                           ResizeOrder order = ResizeOrder::torchvision);

  /// Reads the settings in `folder`, pan-and-scan among them.
  static Gemma3Processor load(const std::filesystem::path& folder,
                              ResizeOrder order = ResizeOrder::torchvision);

  /// Prepares an upright RGB picture: the whole first, then its parts from left to right or from
  /// top to bottom, if any. MediaError when it is empty or too thin to be resized.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// The tiles of a picture of this size, without its pixels. `rows` x `cols` are its parts.
  TileLayout layout(std::int64_t width, std::int64_t height) const;

  /// The part of such a picture that each tile shows, in pixels of the picture.
  std::vector<Region> shown(std::int64_t width, std::int64_t height) const;

 private:
  ResizeOrder order_;
  PixelSettings pixels_;
  bool resize_ = true;
  std::optional<PanAndScan> pan_and_scan_;
  SizeRule size_;
};

}  // namespace chiasm::vision
