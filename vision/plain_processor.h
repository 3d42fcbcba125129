#pragma once
/// Preprocessing of CLIP, LLaVA and SigLIP (PaliGemma, too): one picture becomes one tile by
/// resizing and a cut around its middle. Source: transformers 5.23, CLIPImageProcessor,
/// LlavaImageProcessor and SiglipImageProcessor, which differ in their defaults and in LLaVA's
/// padding to a square.
#include <filesystem>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/region.h"
#include "vision/resize.h"

namespace chiasm::vision {

/// Whose defaults hold for settings that are left out. `onevision_frame`: LLaVA-OneVision's video
/// processor, for each frame.
enum class PlainKind { clip, llava, siglip, onevision_frame };

class PlainProcessor {
 public:
  /// `config`: the image processor's settings. Its "image_processor_type" chooses the kind, where
  /// it is given; else `kind`. ModelError for what cannot be followed exactly.
  PlainProcessor(const Json& config, PlainKind kind, ResizeOrder order = ResizeOrder::torchvision);

  /// Reads the settings in `folder`; see image_processor_settings.
  static PlainProcessor load(const std::filesystem::path& folder, PlainKind kind,
                             ResizeOrder order = ResizeOrder::torchvision);

  /// Prepares an upright RGB picture. MediaError when it is empty or too thin to be resized.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// The one tile of a picture of this size, without its pixels.
  TileLayout layout(std::int64_t width, std::int64_t height) const;

  /// The part of such a picture that the tile shows, in pixels of the picture.
  Region shown(std::int64_t width, std::int64_t height) const;

 private:
  PictureSize squared(PictureSize source) const;  // after LLaVA's padding
  PictureSize resized_from(PictureSize source) const;

  ResizeOrder order_;
  PixelSettings pixels_;
  bool square_ = false, resize_ = true, centre_crop_ = false;
  SizeRule size_;
  PictureSize crop_;
};

}  // namespace chiasm::vision
