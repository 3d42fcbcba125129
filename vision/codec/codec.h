#pragma once
/// Decoders of single formats. Each returns the picture as stored (orientation not applied), of the
/// size that `info` claims, or throws MediaError; `info`'s size has passed the limits.
#include <cstddef>
#include <cstdint>
#include <span>

#include "vision/image.h"

namespace chiasm::vision {

Image decode_jpeg(std::span<const std::byte> bytes, const PictureInfo& info);
Image decode_png(std::span<const std::byte> bytes, const PictureInfo& info);
Image decode_gif(std::span<const std::byte> bytes, const PictureInfo& info);
Image decode_webp(std::span<const std::byte> bytes, const PictureInfo& info);
Image decode_tiff(std::span<const std::byte> bytes, const PictureInfo& info);
Image decode_bmp(std::span<const std::byte> bytes, const PictureInfo& info);
Image decode_pnm(std::span<const std::byte> bytes, const PictureInfo& info);
/// JPEG, PNG and GIF; present where CHIASM_PICTURES=stb and in fuzz builds.
Image decode_stb(std::span<const std::byte> bytes, const PictureInfo& info);

/// A black picture of the size in `info`.
Image blank(const PictureInfo& info);

/// One CMYK pixel, 255 meaning full ink, to RGB in Pillow's integer arithmetic.
inline void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb) {
  const int white = 255 - cmyk[3];
  for (int c = 0; c < 3; c++) {
    const int scaled = cmyk[c] * white + 128;
    rgb[c] = std::uint8_t(white - ((scaled >> 8) + scaled) / 256);
  }
}

}  // namespace chiasm::vision
