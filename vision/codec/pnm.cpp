/// Binary PBM, PGM and PPM.
#include <algorithm>
#include <cmath>

#include "vision/codec/codec.h"
#include "vision/picture_header.h"

namespace chiasm::vision {

namespace {

/// A sample of a file whose largest value is `largest`, as Pillow rounds it. Grey of more than 8
/// bits becomes 16-bit grey first, which is clipped, not scaled, on its way to RGB.
std::uint8_t level(std::int64_t sample, std::int64_t largest, bool grey) {
  if (largest == 255) return std::uint8_t(sample);
  const double most = grey && largest > 255 ? 65535 : 255;
  const double scaled = std::nearbyint(double(sample) / double(largest) * most);
  return std::uint8_t(std::min(scaled, 255.0));
}

}  // namespace

Image decode_pnm(std::span<const std::byte> bytes, const PictureInfo& info) {
  const Bytes b(bytes);
  const PnmLayout layout = read_pnm_layout(b);
  const std::size_t channels = layout.kind == '6' ? 3 : 1;
  const std::size_t sample = layout.largest > 255 ? 2 : 1;
  const auto width = std::size_t(layout.width);
  const std::size_t stride = layout.kind == '4' ? (width + 7) / 8 : width * channels * sample;
  const Bytes pixels = b.slice(layout.pixels, stride * std::size_t(layout.height));
  Image image = blank(info);
  std::uint8_t* out = image.rgb.data();
  for (std::size_t y = 0; y < std::size_t(layout.height); y++) {
    const Bytes row = pixels.slice(y * stride, stride);
    for (std::size_t i = 0; i < width * channels; i++) {
      std::uint8_t value = 0;
      if (layout.kind == '4') {
        value = (row.u8(i / 8) >> (7 - i % 8) & 1) != 0 ? 0 : 255;
      } else {
        const std::uint32_t stored = sample == 2 ? row.u16(2 * i) : row.u8(i);
        value = level(stored, layout.largest, channels == 1);
      }
      out = std::fill_n(out, 3 / channels, value);
    }
  }
  return image;
}

}  // namespace chiasm::vision
