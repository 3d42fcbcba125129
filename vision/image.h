#pragma once
/// Pictures from the outside world: encoded bytes in, upright RGB pixels out, with the very numbers
/// that Pillow 13 gives for `ImageOps.exif_transpose(Image.open(f)).convert("RGB")`.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace chiasm::vision {

/// What a picture may cost. All limits are checked on the header, before any pixel is allocated.
struct MediaLimits {
  std::size_t max_bytes = std::size_t(256) << 20;  // of the encoded file
  /// Width times height. The default is twice Pillow's MAX_IMAGE_PIXELS, where Pillow, too, stops
  /// warning and refuses: 512 MiB of RGB.
  std::int64_t max_pixels = 178'956'970;
  std::int64_t max_side = 65'535;  // width and height, pixels; JPEG's own limit
};

/// Upright RGB pixels. Plain data; `rgb` holds height * width * 3 bytes.
struct Image {
  std::int64_t width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // [height, width, 3]
};

enum class Format { jpeg, png, gif, webp, bmp, tiff, pnm };

std::string_view name(Format format);

/// What the first bytes of a file tell.
struct PictureInfo {
  Format format = Format::jpeg;
  std::int64_t width = 0, height = 0;  // as stored
  int orientation = 1;                 // EXIF (or, where that is silent, XMP): 1 to 8

  /// The size after the orientation is applied: what `decode` returns.
  std::int64_t upright_width() const { return orientation < 5 ? width : height; }
  std::int64_t upright_height() const { return orientation < 5 ? height : width; }
};

/// Reads format, size and orientation without decoding; looks at magic bytes, never at names.
/// Supported: JPEG, PNG, GIF, WebP, BMP, TIFF and binary PNM. MediaError for anything else, with a
/// guess at what the bytes are instead.
PictureInfo read_header(std::span<const std::byte> bytes);

/// MediaError naming the limit that a picture of `bytes` bytes exceeds, if any.
void check_limits(const PictureInfo& info, std::size_t bytes, const MediaLimits& limits);

/// Decodes a picture (of an animation or a multi-page file the first frame), turns it upright and
/// converts it to RGB as Pillow's convert("RGB") does: alpha is dropped, not blended; 16-bit grey
/// is clipped at 255; 16-bit colour keeps its high bytes. Every failure is a MediaError, truncated
/// data included. A build with CHIASM_PICTURES=stb reads fewer formats and is not exact to Pillow.
Image decode(std::span<const std::byte> bytes, const MediaLimits& limits = {});

/// The same for a file; errors name its path.
Image decode_file(const std::filesystem::path& path, const MediaLimits& limits = {});

/// What `decode` is built on: "native" (exact to Pillow) or "stb".
std::string_view picture_decoder();

}  // namespace chiasm::vision
