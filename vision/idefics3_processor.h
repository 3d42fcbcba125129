#pragma once
/// Preprocessing of Idefics3 and SmolVLM: one picture becomes square tiles and a small whole.
/// Source: transformers 5.23, Idefics3ImageProcessor and SmolVLMImageProcessor (which differ in
/// name only); Laurençon et al., 2024, arXiv:2408.12637.
#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/resize.h"

namespace chiasm::vision {

/// How a picture is cut: rows x cols tiles and then the whole picture, or the whole picture alone
/// (rows and cols 0).
struct TileGrid {
  std::int64_t rows = 0, cols = 0;
  std::int64_t tile_width = 0, tile_height = 0;  // pixels

  std::int64_t count() const { return rows * cols + 1; }
};

class Idefics3Processor {
 public:
  /// `config`: the image processor's settings, the content of preprocessor_config.json. Settings it
  /// leaves out take transformers' defaults; ModelError for what cannot be followed exactly.
  explicit Idefics3Processor(const Json& config, ResizeOrder order = ResizeOrder::torchvision);

  /// Reads preprocessor_config.json in `folder`, or "image_processor" in processor_config.json, as
  /// transformers 5 writes it. ModelError when neither is there.
  static Idefics3Processor load(const std::filesystem::path& folder,
                                ResizeOrder order = ResizeOrder::torchvision);

  /// Cuts an upright RGB picture: tiles row by row, the whole picture last. MediaError when it is
  /// empty.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// The cut of a picture of this size, without its pixels.
  TileGrid grid_for(std::int64_t width, std::int64_t height) const;

 private:
  struct Size {
    std::int64_t width, height;
  };
  Size resized(Size source) const;  // after do_resize
  Size squared(Size size) const;    // sides rounded up to whole tiles

  ResizeOrder order_;
  PixelSettings pixels_;
  bool do_resize_ = true, do_split_ = true;
  std::int64_t longest_edge_ = 4 * 364;  // 0: fixed_ instead
  Size fixed_{};
  std::int64_t tile_ = 364;
};

}  // namespace chiasm::vision
