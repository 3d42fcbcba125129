#pragma once
/// What the samples of a TIFF mean, apart from how they are stored.
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace chiasm::vision {

/// Fields are TIFF's own numbers, as in tiff.h.
struct TiffLayout {
  std::uint16_t bits = 1, samples = 1, format = 1, photometric = 0;
  bool premultiplied = false;  // colour was multiplied by the first extra sample
  std::array<std::array<std::uint8_t, 3>, 256> palette{};

  /// MediaError for what Pillow refuses, or what nobody has met.
  void check() const;
  /// Bytes of a row of `width` pixels; `apart`: of one plane of samples.
  std::size_t row_bytes(std::int64_t width, bool apart) const;
  /// Puts the samples of one plane among the pixels of `pixels`.
  void join(const std::vector<std::uint8_t>& plane_samples, int plane,
            std::vector<std::uint8_t>& pixels) const;
  /// Converts a row of whole pixels as Pillow's convert("RGB") would. out: [width, 3].
  void to_rgb(const std::uint8_t* row, std::int64_t width, std::uint8_t* out) const;

 private:
  std::uint8_t grey(const std::uint8_t* row, std::int64_t x) const;
  void color(const std::uint8_t* pixel, std::uint8_t* out) const;
};

}  // namespace chiasm::vision
