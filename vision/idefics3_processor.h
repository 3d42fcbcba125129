#pragma once
/// Preprocessing of Idefics3 and SmolVLM: one picture becomes square tiles and a small whole.
/// Source: transformers 5.23, Idefics3ImageProcessor and SmolVLMImageProcessor (which differ in
/// name only); Laurençon et al., 2024, arXiv:2408.12637.
#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/resize.h"

namespace chiasm::vision {

/// How a picture is cut: rows x cols tiles and then the whole picture, or the whole picture alone
/// (rows and cols 0).
struct TileGrid {
  std::int64_t rows = 0, cols = 0;
  std::int64_t tile_width = 0, tile_height = 0;  // pixels

  std::int64_t count() const { return rows * cols + 1; }
};

/// The part of a tile that shows picture rather than padding, from its top left corner. Pixels.
struct ValidSize {
  std::int64_t height = 0, width = 0;
};

/// A preprocessed picture: 8-bit tiles, row by row, the whole picture last. Normalised to float32
/// only tile by tile, on demand. Safe to read from several threads.
struct Tiles {
  std::int64_t rows = 0, cols = 0;
  std::int64_t height = 0, width = 0;                // of every tile, pixels
  std::int64_t source_height = 0, source_width = 0;  // of the picture
  std::vector<std::uint8_t> tiles;                   // [count, height, width, 3]
  /// The float32 value of each 8-bit level, per channel: the processor's rescaling and
  /// normalisation in its own float32 arithmetic.
  std::array<std::array<float, 256>, 3> levels{};

  std::int64_t count() const { return rows * cols + 1; }
  /// `pixel_attention_mask` as a rectangle. These processors only ever make whole squares.
  ValidSize valid(std::int64_t) const { return {height, width}; }
  /// Writes tile `tile` as the processor's `pixel_values`: out: [3, height, width].
  void pixel_values(std::int64_t tile, float* out) const;
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

  /// Cuts an upright RGB picture. MediaError when it is empty.
  Tiles operator()(const Context& ctx, const Image& image) const;

  /// The cut of a picture of this size, without its pixels.
  TileGrid grid_for(std::int64_t width, std::int64_t height) const;

 private:
  struct Size {
    std::int64_t width, height;
  };
  Size resized(Size source) const;  // after do_resize
  Size squared(Size size) const;    // sides rounded up to whole tiles

  ResizeOrder order_;
  Filter filter_ = Filter::lanczos;
  bool do_resize_ = true, do_split_ = true;
  std::int64_t longest_edge_ = 4 * 364;  // 0: fixed_ instead
  Size fixed_{};
  std::int64_t tile_ = 364;
  std::array<std::array<float, 256>, 3> levels_{};
};

}  // namespace chiasm::vision
