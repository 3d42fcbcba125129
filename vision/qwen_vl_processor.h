#pragma once
/// Preprocessing of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: one picture keeps its shape, its sides
/// become multiples of what the encoder merges into one token. Source: transformers 5.23,
/// Qwen2VLImageProcessor, which all three use.
#include <filesystem>
#include <span>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/resize.h"

namespace chiasm::vision {

/// `image_grid_thw`: patches along time, height and width.
struct PatchGrid {
  std::int64_t t = 0, h = 0, w = 0;

  std::int64_t patches() const { return t * h * w; }
};

/// The patches of one step in time and the cube of pixels that each of them is.
struct PatchShape {
  std::int64_t size = 14;   // pixels, both ways
  std::int64_t frames = 2;  // along time
  std::int64_t merge = 2;   // patches that become one token, both ways

  std::int64_t values() const { return 3 * frames * size * size; }
};

/// The size, in multiples of `factor`, nearest to `source` that has between `least` and `most`
/// pixels. MediaError when one side is over 200 times the other.
PictureSize smart_resize(PictureSize source, std::int64_t factor, std::int64_t least,
                         std::int64_t most);

/// Writes the reference's flattened pixel_values of time step `step`: out: [h * w, 3 * frames *
/// size
/// * size], blocks of merge x merge patches together, each patch [channel, frame, row, column]. The
/// frames are tiles of one size, `frames` of them a step; where the last step lacks some, and for
/// a picture, the last tile stands for them.
void write_patch_rows(const PreparedPicture& picture, const PatchShape& shape, std::int64_t step,
                      float* out);

class QwenVlProcessor {
 public:
  /// `config`: the image processor's settings; the size may be given as "size" with
  /// "shortest_edge" and "longest_edge" (pixels of area, whatever the names say) or as
  /// "min_pixels" and "max_pixels". ModelError for what cannot be followed exactly.
  explicit QwenVlProcessor(const Json& config, ResizeOrder order = ResizeOrder::torchvision);

  static QwenVlProcessor load(const std::filesystem::path& folder,
                              ResizeOrder order = ResizeOrder::torchvision);

  const PatchShape& patch() const { return patch_; }

  /// Prepares an upright RGB picture: one tile. MediaError when it is empty or too thin.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// The size of that tile.
  PictureSize resized(std::int64_t width, std::int64_t height) const;
  /// The grid of a picture of this size, and how many tokens a grid becomes.
  PatchGrid layout(std::int64_t width, std::int64_t height) const;
  std::int64_t tokens(const PatchGrid& grid) const {
    return grid.patches() / (patch_.merge * patch_.merge);
  }

 private:
  ResizeOrder order_;
  PixelSettings pixels_;
  bool resize_ = true;
  PatchShape patch_;
  std::int64_t least_ = 0, most_ = 0;  // pixels of a resized picture
};

}  // namespace chiasm::vision
