#pragma once
/// What the image processors' settings have in common: how preprocessor_config.json is read, and
/// the sizes and float32 values that transformers 5.23 makes of it.
#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "vision/resize.h"

namespace chiasm::vision {

/// The image processor's settings of a model's folder: "image_processor" in processor_config.json,
/// as transformers 5 writes it, else preprocessor_config.json. ModelError when neither is there.
Json image_processor_settings(const std::filesystem::path& folder);

/// The video processor's: "video_processor" in processor_config.json, else
/// video_preprocessor_config.json, else preprocessor_config.json. ModelError when none is there.
Json video_processor_settings(const std::filesystem::path& folder);

/// processor_config.json, or an empty object in a folder without one.
Json processor_settings(const std::filesystem::path& folder);

/// Pixels. Height first, as transformers writes sizes.
struct PictureSize {
  std::int64_t height = 0, width = 0;

  bool operator==(const PictureSize&) const = default;
};

/// MediaError when a side is not positive.
void check_source(PictureSize source);

/// The cut of a picture, known from its size alone: the tiles in order, and the grid they form (0 x
/// 0 when the picture is not cut).
struct TileLayout {
  std::vector<PictureSize> tiles;
  std::int64_t rows = 0, cols = 0;
};

/// "size" or "crop_size", in any of transformers' forms; what is not given is 0.
struct SizeRule {
  std::int64_t height = 0, width = 0;
  std::int64_t shortest_edge = 0, longest_edge = 0;
  std::int64_t max_height = 0, max_width = 0;

  bool is_fixed() const { return height > 0 && width > 0; }
};

/// What a single number means as a size.
enum class LoneSize { square, shortest_edge };

/// Reads a size; `otherwise` when the key is missing. ModelError for a set of keys that
/// transformers does not know, or a side outside 1 to `most`.
SizeRule read_size(const Json& config, std::string_view key, const SizeRule& otherwise,
                   LoneSize lone, std::int64_t most = std::int64_t(1) << 16);

/// The size that transformers' common `resize` gives a picture. ModelError for a rule that it does
/// not know, MediaError where a side becomes 0.
PictureSize resized(const SizeRule& rule, PictureSize source);

/// An integer setting between `least` and `most`; ModelError outside.
std::int64_t bounded(const Json& config, std::string_view key, std::int64_t otherwise,
                     std::int64_t least, std::int64_t most);

/// Mean and deviation of the channels, as fractions of white.
struct Normalization {
  std::array<double, 3> mean{}, deviation{};
};
inline constexpr Normalization kClipNormalization{{0.48145466, 0.4578275, 0.40821073},
                                                  {0.26862954, 0.26130258, 0.27577711}};
inline constexpr Normalization kHalfNormalization{{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};

/// "resample", "do_rescale", "rescale_factor", "do_normalize", "image_mean" and "image_std".
struct PixelSettings {
  Filter filter = Filter::bicubic;
  std::array<double, 3> mean{};
  /// The float32 value of each 8-bit level, per channel: rescaling and normalisation in
  /// transformers' own float32 arithmetic.
  std::array<std::array<float, 256>, 3> levels{};

  /// The mean as a colour, cut to whole levels as Python's int() does.
  std::array<std::uint8_t, 3> mean_colour() const;
};

/// ModelError for a filter that torchvision's tensors do not have, or a deviation of 0.
PixelSettings read_pixel_settings(const Json& config, Filter filter, const Normalization& usual);

}  // namespace chiasm::vision
