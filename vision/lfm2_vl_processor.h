#pragma once
/// Preprocessing of LFM2-VL: a picture within a number of tokens keeps its shape; a larger one is
/// squashed onto a grid of square tiles, and a small whole of its own shape follows them.
/// Source: transformers 5.23, Lfm2VlImageProcessor.
#include <filesystem>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/resize.h"

namespace chiasm::vision {

class Lfm2VlProcessor {
 public:
  /// `config`: the image processor's settings. ModelError for what cannot be followed exactly.
  explicit Lfm2VlProcessor(const Json& config, ResizeOrder order = ResizeOrder::torchvision);

  static Lfm2VlProcessor load(const std::filesystem::path& folder,
                              ResizeOrder order = ResizeOrder::torchvision);

  /// Prepares an upright RGB picture: tiles row by row and the whole (unless `has_whole()` is
  /// false), or the whole alone (rows and cols 0). MediaError when it is empty or too large to be
  /// resized.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// The tiles of a picture of this size, without its pixels.
  TileLayout layout(std::int64_t width, std::int64_t height) const;

  /// Whether the whole follows a grid of tiles.
  bool has_whole() const { return whole_; }
  /// Pixels of a patch, both ways, and patches that become a token, both ways.
  std::int64_t patch() const { return patch_; }
  std::int64_t merge() const { return merge_; }
  /// Pixels of a tile of a grid, both ways; 0 where pictures are never cut.
  std::int64_t tile() const { return split_ ? tile_ : 0; }
  /// `spatial_shapes` of a tile: its patches down and across.
  PictureSize patches(PictureSize tile) const {
    return {tile.height / patch_, tile.width / patch_};
  }
  /// How many tokens a tile becomes.
  std::int64_t tokens(PictureSize tile) const;
  /// The rows that the reference pads every tile to.
  std::int64_t max_patches() const { return max_patches_; }

  /// Writes a tile as the reference's pixel_values without their padding: out: [patches, patch *
  /// patch * 3], each patch [row, column, channel].
  void write_patch_rows(const PreparedPicture& picture, std::int64_t tile, float* out) const;

 private:
  PictureSize whole_size(PictureSize source) const;
  bool is_large(PictureSize source) const;

  ResizeOrder order_;
  PixelSettings pixels_;
  std::int64_t patch_, merge_;
  std::int64_t least_tokens_, most_tokens_;
  std::int64_t tile_;  // pixels, both ways
  std::int64_t least_tiles_, most_tiles_;
  double tolerance_;
  bool split_, whole_;
  std::int64_t max_patches_ = 0;
};

}  // namespace chiasm::vision
