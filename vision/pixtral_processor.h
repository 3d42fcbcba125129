#pragma once
/// Preprocessing of Pixtral and Mistral 3: the picture is shrunk, never enlarged, to a longest
/// edge, and its sides rounded up to whole tokens. Source: transformers 5.23, PixtralImageProcessor
/// as PixtralProcessor calls it: that one rounds to patch_size * spatial_merge_size, whatever the
/// image processor's settings say.
#include <filesystem>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/resize.h"

namespace chiasm::vision {

/// Tokens of a picture: each row but the last ends with a break, the last with the picture's end.
struct TokenRows {
  std::int64_t rows = 0, cols = 0;  // without breaks
};

class PixtralProcessor {
 public:
  /// `config`: the image processor's settings; `token`: pixels of a token, both ways. ModelError
  /// for what cannot be followed exactly.
  PixtralProcessor(const Json& config, std::int64_t token,
                   ResizeOrder order = ResizeOrder::torchvision);

  /// Reads the settings in `folder`, the token's pixels from "patch_size" (16) and
  /// "spatial_merge_size" (1) of its processor_config.json.
  static PixtralProcessor load(const std::filesystem::path& folder,
                               ResizeOrder order = ResizeOrder::torchvision);

  /// Prepares an upright RGB picture: one tile. MediaError when it is empty or so thin that a side
  /// would become 0.
  PreparedPicture operator()(const Context& ctx, const Image& image) const;

  /// Pixels of a token, both ways.
  std::int64_t token() const { return token_; }
  /// The size of that tile.
  PictureSize resized(std::int64_t width, std::int64_t height) const;
  /// The tokens of a picture of this size.
  TokenRows layout(std::int64_t width, std::int64_t height) const;

 private:
  ResizeOrder order_;
  PixelSettings pixels_;
  bool resize_ = true;
  std::int64_t token_;
  PictureSize most_;
};

}  // namespace chiasm::vision
