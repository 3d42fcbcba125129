#pragma once
/// Preprocessing of InternVL: the picture is squashed onto a grid of tiles of about its shape, and
/// comes whole after them.
/// Source: transformers 5.23, GotOcr2ImageProcessor as InternVLProcessor calls it: that one always
/// cuts, whatever the settings say.
#include <filesystem>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/resize.h"

namespace chiasm::vision {

class InternVlProcessor {
 public:
  /// `config`: the image processor's settings. ModelError for what cannot be followed exactly.
  explicit InternVlProcessor(const Json& config, ResizeOrder order = ResizeOrder::torchvision);

  static InternVlProcessor load(const std::filesystem::path& folder,
                                ResizeOrder order = ResizeOrder::torchvision);

  /// Prepares an upright RGB picture: tiles row by row, the whole picture last; the whole alone
  /// where one tile is enough (rows and cols 0). MediaError when it is empty.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// The tiles of a picture of this size, without its pixels.
  TileLayout layout(std::int64_t width, std::int64_t height) const;

  /// A frame of a video: the whole picture as one tile.
  PreparedPicture whole(const Context& ctx, const Image& image) const;
  PictureSize whole_size() const { return tile_; }

 private:
  ResizeOrder order_;
  PixelSettings pixels_;
  PictureSize tile_;
  std::int64_t least_, most_;  // tiles
};

}  // namespace chiasm::vision
