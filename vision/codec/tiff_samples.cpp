#include "vision/codec/tiff_samples.h"

#include <tiff.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "vision/codec/codec.h"

namespace chiasm::vision {

namespace {

template <class T>
T sample(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));  // libtiff gives the machine's order of bytes
  return value;
}

/// Pillow's conversion of wide grey to 8 bits: cut off, not scaled. NaN becomes 0.
template <class T>
std::uint8_t clipped(T value) {
  return value > T(0) ? std::uint8_t(std::min(value, T(255))) : std::uint8_t(0);
}

}  // namespace

void TiffLayout::check() const {
  const bool is_grey =
      photometric == PHOTOMETRIC_MINISWHITE || photometric == PHOTOMETRIC_MINISBLACK;
  const bool narrow = bits == 1 || bits == 2 || bits == 4 || bits == 8;
  bool fine = false;
  if (is_grey && samples == 1) {
    fine = (narrow && format != SAMPLEFORMAT_IEEEFP) ||
           (bits == 16 && format != SAMPLEFORMAT_IEEEFP) || bits == 32;
  } else if (is_grey) {
    fine = bits == 8 && !premultiplied;
  } else if (photometric == PHOTOMETRIC_PALETTE) {
    fine = samples == 1 ? narrow : bits == 8;
  } else if (photometric == PHOTOMETRIC_RGB) {
    fine = samples >= 3 && (bits == 8 || (bits == 16 && !premultiplied));
  } else if (photometric == PHOTOMETRIC_SEPARATED) {
    fine = samples >= 4 && (bits == 8 || bits == 16);
  }
  if (!fine) {
    fail<MediaError>("has ", samples, " samples of ", bits, " bits (format ", format,
                     ") in colour space ", photometric, ", which is not supported");
  }
}

std::size_t TiffLayout::row_bytes(std::int64_t width, bool apart) const {
  return (std::size_t(width) * bits * (apart ? 1u : samples) + 7) / 8;
}

void TiffLayout::join(const std::vector<std::uint8_t>& plane_samples, int plane,
                      std::vector<std::uint8_t>& pixels) const {
  const std::size_t bytes = bits / 8;
  const std::size_t count = std::min(plane_samples.size() / bytes, pixels.size() / bytes / samples);
  for (std::size_t i = 0; i < count; i++) {
    std::memcpy(pixels.data() + (i * samples + std::size_t(plane)) * bytes,
                plane_samples.data() + i * bytes, bytes);
  }
}

std::uint8_t TiffLayout::grey(const std::uint8_t* row, std::int64_t x) const {
  const auto i = std::size_t(x);
  if (bits == 32) {
    if (format == SAMPLEFORMAT_IEEEFP) return clipped(sample<float>(row + 4 * i));
    return clipped(sample<std::int32_t>(row + 4 * i));
  }
  if (bits == 16) {
    if (format == SAMPLEFORMAT_INT) return clipped(sample<std::int16_t>(row + 2 * i));
    return clipped(sample<std::uint16_t>(row + 2 * i));
  }
  const std::size_t bit = i * bits * samples;
  const int largest = (1 << bits) - 1;
  const int value = row[bit / 8] >> (8 - bits - bit % 8) & largest;
  const int scaled = value * (255 / largest);
  return std::uint8_t(photometric == PHOTOMETRIC_MINISWHITE ? 255 - scaled : scaled);
}

void TiffLayout::color(const std::uint8_t* pixel, std::uint8_t* out) const {
  std::uint8_t levels[4] = {0, 0, 0, 0};
  for (std::size_t c = 0; c < 4; c++) {
    if (c >= samples) break;
    levels[c] = bits == 16 ? std::uint8_t(sample<std::uint16_t>(pixel + 2 * c) >> 8) : pixel[c];
  }
  if (photometric == PHOTOMETRIC_SEPARATED) return cmyk_to_rgb(levels, out);
  const int alpha = premultiplied && samples > 3 ? levels[3] : 255;
  for (int c = 0; c < 3; c++) {
    out[c] = alpha == 255 ? levels[c]
             : alpha == 0 ? std::uint8_t(0)
                          : std::uint8_t(std::min(255, levels[c] * 255 / alpha));
  }
}

void TiffLayout::to_rgb(const std::uint8_t* row, std::int64_t width, std::uint8_t* out) const {
  const std::size_t bytes = std::size_t(samples) * bits / 8;
  for (std::int64_t x = 0; x < width; x++, out += 3) {
    if (photometric == PHOTOMETRIC_RGB || photometric == PHOTOMETRIC_SEPARATED) {
      color(row + std::size_t(x) * bytes, out);
    } else if (photometric == PHOTOMETRIC_PALETTE) {
      const std::size_t bit = std::size_t(x) * bits * samples;
      const std::size_t index = row[bit / 8] >> (8 - bits - bit % 8) & ((1u << bits) - 1);
      std::copy(palette[index].begin(), palette[index].end(), out);
    } else {
      std::fill_n(out, 3, grey(row, x));
    }
  }
}

}  // namespace chiasm::vision
