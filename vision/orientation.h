#pragma once
/// Which way up a picture is.
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "vision/bytes.h"
#include "vision/image.h"

namespace chiasm::vision {

/// A TIFF directory's values that a header reader wants. Absent ones are empty.
struct TiffTags {
  std::optional<std::uint64_t> width, height, orientation;
  std::string_view xmp;
};

/// Reads the first directory of a TIFF stream (a file, or the inside of an EXIF block). MediaError
/// when it is damaged.
TiffTags read_tiff_tags(std::span<const std::byte> tiff);

/// The orientation in an EXIF block, with or without "Exif\0\0" in front; nothing when it has none
/// or is damaged: a picture is not refused for its EXIF.
std::optional<int> exif_orientation(std::string_view exif);

/// `tiff:Orientation` in an XMP packet.
std::optional<int> xmp_orientation(std::string_view xmp);

/// 1 to 8; EXIF first, XMP where EXIF is silent, 1 for neither or nonsense: as Pillow decides.
int orientation_from(std::string_view exif, std::string_view xmp);

/// Turns a picture stored in orientation `orientation` upright.
Image upright(Image image, int orientation);

}  // namespace chiasm::vision
