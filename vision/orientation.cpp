#include "vision/orientation.h"

#include <algorithm>
#include <cstring>

namespace chiasm::vision {

namespace {

constexpr std::string_view kExifPrefix("Exif\0\0", 6);

/// Bytes of one value of a TIFF field type; 0 for an unknown type.
std::size_t type_size(std::uint32_t type) {
  constexpr std::size_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
  return type < std::size(sizes) ? sizes[type] : 0;
}

/// One field of a directory: where its values lie.
struct Field {
  std::uint32_t tag, type;
  std::uint64_t count;
  Bytes values;
};

/// A single unsigned integer; nothing for other types and for lists.
std::optional<std::uint64_t> integer(const Field& field) {
  if (field.count != 1) return std::nullopt;
  switch (field.type) {
    case 1:
      return field.values.u8(0);
    case 3:
      return field.values.u16(0);
    case 4:
      return field.values.u32(0);
    case 16:
      return field.values.u64(0);
    default:
      return std::nullopt;
  }
}

}  // namespace

TiffTags read_tiff_tags(std::span<const std::byte> tiff) {
  const Bytes magic(tiff);
  const bool little = magic.begins("II");
  if (!little && !magic.begins("MM")) fail<MediaError>("is no TIFF stream");
  const Bytes b(tiff, little);
  const bool big = b.u16(2) == 43;
  const std::uint64_t at = big ? b.u64(8) : b.u32(4);
  const std::uint64_t entries = big ? b.u64(at) : b.u16(at);
  const std::size_t head = big ? 8 : 2, entry = big ? 20 : 12, inlined = big ? 8 : 4;
  TiffTags tags;
  for (std::uint64_t i = 0; i < entries; i++) {
    const Bytes e = b.slice(at + head + i * entry, entry);  // fails before `entries` can mislead
    const std::uint32_t tag = e.u16(0), type = e.u16(2);
    if (tag != 256 && tag != 257 && tag != 274 && tag != 700) continue;
    const std::uint64_t count = big ? e.u64(4) : e.u32(4);
    const std::size_t size = type_size(type);
    if (size == 0 || count > b.size()) continue;
    const std::size_t bytes = size * count;
    const std::uint64_t offset = big ? e.u64(12) : e.u32(8);
    if (bytes > inlined && !b.has(offset, bytes)) continue;
    const Bytes values =
        bytes <= inlined ? e.slice(entry - inlined, bytes) : b.slice(offset, bytes);
    const Field field{tag, type, count, values};
    if (tag == 256) tags.width = integer(field);
    if (tag == 257) tags.height = integer(field);
    if (tag == 274) tags.orientation = integer(field);
    if (tag == 700) tags.xmp = values.text();
  }
  return tags;
}

std::optional<int> exif_orientation(std::string_view exif) {
  while (exif.starts_with(kExifPrefix)) exif.remove_prefix(kExifPrefix.size());
  if (exif.empty()) return std::nullopt;
  try {
    const auto tags = read_tiff_tags(std::as_bytes(std::span(exif)));
    if (tags.orientation && *tags.orientation < 256) return int(*tags.orientation);
  } catch (const MediaError&) {
  }
  return std::nullopt;
}

std::optional<int> xmp_orientation(std::string_view xmp) {
  constexpr std::string_view key = "tiff:Orientation";
  for (std::size_t at = xmp.find(key); at != std::string_view::npos; at = xmp.find(key, at + 1)) {
    std::string_view rest = xmp.substr(at + key.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return std::nullopt;
}

int orientation_from(std::string_view exif, std::string_view xmp) {
  std::optional<int> value = exif_orientation(exif);
  if (!value) value = xmp_orientation(xmp);
  return value && *value >= 1 && *value <= 8 ? *value : 1;
}

Image upright(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const std::int64_t w = image.width, h = image.height;
  const bool transposed = orientation >= 5;
  Image out{transposed ? h : w, transposed ? w : h, {}};
  out.rgb.resize(image.rgb.size());
  // Output pixel (x, y) shows the stored pixel origin + x * right + y * down.
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const std::int64_t along = from_right ? -1 : 1, across = from_bottom ? -w : w;
  const std::int64_t origin = (from_right ? w - 1 : 0) + (from_bottom ? (h - 1) * w : 0);
  const std::int64_t right = transposed ? across : along, down = transposed ? along : across;
  constexpr std::int64_t kBlock = 64;  // a square of both pictures stays in the cache
  for (std::int64_t y0 = 0; y0 < out.height; y0 += kBlock) {
    for (std::int64_t x0 = 0; x0 < out.width; x0 += kBlock) {
      for (std::int64_t y = y0; y < std::min(y0 + kBlock, out.height); y++) {
        for (std::int64_t x = x0; x < std::min(x0 + kBlock, out.width); x++) {
          std::memcpy(out.rgb.data() + 3 * (y * out.width + x),
                      image.rgb.data() + 3 * (origin + x * right + y * down), 3);
        }
      }
    }
  }
  return out;
}

}  // namespace chiasm::vision
