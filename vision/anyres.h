#pragma once
/// The arithmetic of LLaVA-NeXT's pictures of any resolution: which resolution a picture is fitted
/// into, and which of the encoder's patches remain as tokens once the padding is taken off again.
/// Source: transformers 5.23, select_best_resolution, get_patch_output_size, unpad_image and the
/// pack_image_features of llava_next and llava_onevision; Liu et al., 2024, arXiv:2407.07895.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vision/processor_settings.h"

namespace chiasm::vision {

/// The resolution of `choices` that keeps most of the picture's pixels and, among those, wastes
/// fewest. `choices` is not empty.
PictureSize best_resolution(PictureSize source, std::span<const PictureSize> choices);

/// The largest size of the picture's shape within `target`.
PictureSize fitted_size(PictureSize source, PictureSize target);

/// The part of a grid of patches, rows * side x cols * side of them, that shows picture, and the
/// size that it is shrunk to.
struct AnyresGrid {
  std::int64_t side = 0;               // patches along a tile, both ways
  std::int64_t rows = 0, cols = 0;     // tiles
  std::int64_t top = 0, left = 0;      // of the part that shows picture, patches
  std::int64_t height = 0, width = 0;  // of that part, patches
  /// After OneVision's bilinear resize without antialiasing (align_corners false), features in
  /// float32; equal to height and width where nothing is shrunk.
  std::int64_t out_height = 0, out_width = 0;

  bool is_shrunk() const { return out_height != height || out_width != width; }
  /// The base picture's patches, then out_height rows, each with a newline.
  std::int64_t tokens() const { return side * side + out_height * (out_width + 1); }
};

/// `max_tiles`: what OneVision's "anyres_max_<N>" names; 0 for none, as in LLaVA-NeXT.
AnyresGrid anyres_grid(PictureSize source, std::int64_t rows, std::int64_t cols, std::int64_t side,
                       std::int64_t max_tiles);

/// The number in "anyres_max_9"; ModelError for another text.
std::int64_t anyres_max_tiles(std::string_view vision_aspect_ratio);

/// Where a token's features come from: patch (row, col) of a tile, 0 being the base picture.
struct PatchSource {
  static constexpr std::int64_t kNewline = -1;
  std::int64_t tile = kNewline;  // kNewline: the learned newline row
  std::int64_t row = 0, col = 0;

  bool operator==(const PatchSource&) const = default;
};

/// Patch (row, col) of the part that shows picture, from its own corner.
PatchSource shown_patch(const AnyresGrid& grid, std::int64_t row, std::int64_t col);

/// All tokens of a picture, in order. ShapeError for a grid that is shrunk: there no token is a
/// single patch; what is resized are the `shown_patch`es.
std::vector<PatchSource> anyres_tokens(const AnyresGrid& grid);

}  // namespace chiasm::vision
