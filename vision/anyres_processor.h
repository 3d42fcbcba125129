#pragma once
/// Preprocessing of LLaVA-NeXT and LLaVA-OneVision: the whole picture as a base tile, then the
/// picture fitted into the best of some resolutions, padded with black and cut into tiles. Source:
/// transformers 5.23, LlavaNextImageProcessor and LlavaOnevisionImageProcessor, which differ in
/// their defaults and in what OneVision does with several pictures.
#include <filesystem>
#include <vector>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/region.h"
#include "vision/resize.h"

namespace chiasm::vision {

enum class AnyresKind { llava_next, llava_onevision };

class AnyresProcessor {
 public:
  /// `config`: the image processor's settings. ModelError for what cannot be followed exactly.
  AnyresProcessor(const Json& config, AnyresKind kind,
                  ResizeOrder order = ResizeOrder::torchvision);

  static AnyresProcessor load(const std::filesystem::path& folder, AnyresKind kind,
                              ResizeOrder order = ResizeOrder::torchvision);

  /// Prepares an upright RGB picture: the base tile, then rows x cols tiles. MediaError when it is
  /// empty.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// The tiles of a picture of this size, without its pixels.
  TileLayout layout(std::int64_t width, std::int64_t height) const;

  /// OneVision's way with one of several pictures of a prompt: padded to a square with the mean
  /// colour, one tile, not cut.
  PreparedPicture whole(const Context& ctx, const Image& image) const;

  /// The part of such a picture that each tile shows, in pixels of the picture; of `whole`'s tile.
  std::vector<Region> shown(std::int64_t width, std::int64_t height) const;
  Region whole_shown(std::int64_t width, std::int64_t height) const;

 private:
  PictureSize tile_size(PictureSize piece) const;  // of a piece when it is resized and cut
  Region tile_shown(PictureSize piece) const;      // of such a piece
  Tile tile(const Context& ctx, const Image& piece) const;
  PreparedPicture empty(const Image& image) const;

  ResizeOrder order_;
  PixelSettings pixels_;
  bool resize_ = true, centre_crop_ = false;
  SizeRule size_;
  PictureSize crop_, base_;
  std::int64_t piece_ = 0;  // pixels of a piece of the fitted picture, both ways
  std::vector<PictureSize> resolutions_;
};

}  // namespace chiasm::vision
