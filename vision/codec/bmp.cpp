/// BMP, read here: no library of its own is worth a dependency.
#include <algorithm>
#include <array>
#include <vector>

#include "vision/bytes.h"
#include "vision/codec/codec.h"

namespace chiasm::vision {

namespace {

enum Compression : std::uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

struct Header {
  std::int64_t width = 0, height = 0;
  bool from_top = false;
  std::uint32_t bits = 0, compression = kRaw, colors = 0;
  std::array<std::uint32_t, 4> masks{};                    // red, green, blue, alpha
  std::size_t palette = 0, palette_entry = 4, pixels = 0;  // offsets and bytes
};

Header read_header_of(Bytes b) {
  Header h;
  const std::uint32_t size = b.u32(14);
  std::size_t after = 14 + size;
  if (size == 12) {
    h.width = b.u16(18);
    h.height = b.u16(20);
    h.bits = b.u16(24);
    h.palette_entry = 3;
  } else {
    h.width = std::int32_t(b.u32(18));
    h.height = std::int32_t(b.u32(22));
    h.from_top = h.height < 0;
    h.height = h.from_top ? -h.height : h.height;
    h.bits = b.u16(28);
    h.compression = b.u32(30);
    h.colors = b.u32(46);
    if (h.compression == kBitFields) {  // in the header, or behind the shortest one
      for (std::size_t i = 0; i < (size >= 56 ? 4u : 3u); i++) h.masks[i] = b.u32(54 + 4 * i);
      if (size == 40) after += 12;
    }
  }
  if (h.bits <= 8 && h.colors == 0) h.colors = 1u << h.bits;
  if (h.bits <= 8 && h.colors > 65536) fail<MediaError>("claims ", h.colors, " palette colours");
  h.palette = after;
  h.pixels = b.u32(10);
  const std::size_t palette_bytes = h.bits <= 8 ? h.palette_entry * h.colors : 0;
  if (h.pixels == 14 + size || h.pixels == 0) h.pixels = after + palette_bytes;
  return h;
}

using Rgb = std::array<std::uint8_t, 3>;

std::vector<Rgb> read_palette(Bytes b, const Header& h) {
  std::vector<Rgb> palette(256);  // what the file leaves out is black
  for (std::size_t i = 0; i < std::min<std::size_t>(h.colors, 256); i++) {
    const Bytes entry = b.slice(h.palette + i * h.palette_entry, 3);
    palette[i] = {std::uint8_t(entry.u8(2)), std::uint8_t(entry.u8(1)), std::uint8_t(entry.u8(0))};
  }
  return palette;
}

/// Run-length coded palette indices, row after row in the file's order. [width * height]
std::vector<std::uint8_t> read_runs(Bytes b, const Header& h) {
  const bool nibbles = h.compression == kRle4;
  const std::int64_t width = h.width, total = width * h.height;
  std::vector<std::uint8_t> out(std::size_t(total), 0);
  std::size_t at = h.pixels;
  std::int64_t to = 0;
  const auto put = [&](std::uint32_t index) {
    if (to < total) out[std::size_t(to++)] = std::uint8_t(index);
  };
  while (to < total) {
    const std::uint32_t count = b.u8(at), value = b.u8(at + 1);
    at += 2;
    if (count > 0) {  // a run, which stops at the end of its row
      const std::int64_t x = to % width;
      const std::int64_t n = std::min<std::int64_t>(count, width - x);
      for (std::int64_t i = 0; i < n; i++) {
        put(!nibbles ? value : i % 2 == 0 ? value >> 4 : value & 15);
      }
      // The code for the end of a row follows, also behind a full one.
      if (x + n == width && b.has(at, 2) && b.u8(at) == 0 && b.u8(at + 1) == 0) at += 2;
    } else if (value == 0) {
      to = (to + width - 1) / width * width;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      to = std::min<std::int64_t>(total, to + b.u8(at) + b.u8(at + 1) * width);
      at += 2;
    } else {  // literal indices, padded to 16 bits
      for (std::uint32_t i = 0; i < value; i++) {
        const std::uint32_t byte = b.u8(at + (nibbles ? i / 2 : i));
        put(!nibbles ? byte : i % 2 == 0 ? byte >> 4 : byte & 15);
      }
      const std::size_t bytes = nibbles ? (value + 1) / 2 : value;
      at += bytes;
      if (at % 2 != 0) at++;
    }
  }
  if (to < total) fail<MediaError>("is truncated: its runs end before the last pixel");
  return out;
}

/// How many bits `value` is shifted up from bit 0; 0 for no bits.
int lowest_bit(std::uint32_t mask) { return mask == 0 ? 0 : __builtin_ctz(mask); }

/// Channels cut out of little-endian words of 16 or 32 bits by masks.
class Masks {
 public:
  explicit Masks(const Header& h) : masks_{h.masks[0], h.masks[1], h.masks[2]} {
    const bool plain = h.compression == kRaw || h.masks == std::array<std::uint32_t, 4>{};
    if (plain && h.bits == 16) masks_ = {0x7c00, 0x3e0, 0x1f};
    if (plain && h.bits != 16) masks_ = {0xff0000, 0xff00, 0xff};
    for (std::size_t c = 0; c < 3; c++) {
      shifts_[c] = lowest_bit(masks_[c]);
      largest_[c] = masks_[c] >> shifts_[c];
      if (largest_[c] == 0 || largest_[c] > 255 || (largest_[c] & (largest_[c] + 1)) != 0) {
        fail<MediaError>("has channel masks that are not supported");
      }
    }
  }
  void cut(std::uint32_t word, std::uint8_t* rgb) const {
    for (std::size_t c = 0; c < 3; c++) {
      rgb[c] = std::uint8_t((word & masks_[c]) >> shifts_[c]);
      if (largest_[c] != 255) rgb[c] = std::uint8_t(rgb[c] * 255u / largest_[c]);
    }
  }

 private:
  std::array<std::uint32_t, 3> masks_, largest_{};
  std::array<int, 3> shifts_{};
};

void convert_indices(Bytes row, const Header& h, const std::vector<Rgb>& palette,
                     std::uint8_t* out) {
  for (std::int64_t x = 0; x < h.width; x++) {
    const auto bit = std::size_t(x) * h.bits;
    const std::uint32_t index = row.u8(bit / 8) >> (8 - h.bits - bit % 8) & ((1u << h.bits) - 1);
    std::copy(palette[index].begin(), palette[index].end(), out + 3 * x);
  }
}

void convert_words(Bytes row, const Header& h, const Masks& masks, std::uint8_t* out) {
  const std::size_t bytes = h.bits / 8;
  for (std::int64_t x = 0; x < h.width; x++) {
    const std::size_t at = std::size_t(x) * bytes;
    const std::uint32_t word = bytes == 2 ? row.u16(at) : bytes == 3 ? row.u24(at) : row.u32(at);
    masks.cut(word, out + 3 * x);
  }
}

void check(const Header& h) {
  const bool indexed = h.bits == 1 || h.bits == 4 || h.bits == 8;
  const bool runs =
      (h.compression == kRle8 && h.bits == 8) || (h.compression == kRle4 && h.bits == 4);
  const bool words = h.bits == 16 || h.bits == 24 || h.bits == 32;
  const bool raw = h.compression == kRaw && (indexed || words);
  if (!runs && !raw && !(h.compression == kBitFields && words)) {
    fail<MediaError>("has ", h.bits, " bits a pixel with compression ", h.compression,
                     ", which is not supported");
  }
}

}  // namespace

Image decode_bmp(std::span<const std::byte> bytes, const PictureInfo& info) {
  const Bytes b(bytes, true);
  const Header h = read_header_of(b);
  check(h);
  const auto out_row = [&](Image& image, std::int64_t y) {
    return image.rgb.data() + (h.from_top ? y : h.height - 1 - y) * h.width * 3;
  };
  if (h.compression == kRle8 || h.compression == kRle4) {
    const auto palette = read_palette(b, h);
    const auto indices = read_runs(b, h);
    Image image = blank(info);
    for (std::int64_t y = 0; y < h.height; y++) {
      for (std::int64_t x = 0; x < h.width; x++) {
        const Rgb& color = palette[indices[std::size_t(y * h.width + x)]];
        std::copy(color.begin(), color.end(), out_row(image, y) + 3 * x);
      }
    }
    return image;
  }
  const std::size_t stride = (std::size_t(h.width) * h.bits + 31) / 32 * 4;
  const std::size_t used = (std::size_t(h.width) * h.bits + 7) / 8;
  (void)b.slice(h.pixels, stride * std::size_t(h.height - 1) + used);  // before allocating
  Image image = blank(info);
  const auto palette = h.bits <= 8 ? read_palette(b, h) : std::vector<Rgb>();
  for (std::int64_t y = 0; y < h.height; y++) {
    const Bytes row = b.slice(h.pixels + stride * std::size_t(y), used);
    if (h.bits <= 8) {
      convert_indices(row, h, palette, out_row(image, y));
    } else {
      convert_words(row, h, Masks(h), out_row(image, y));
    }
  }
  return image;
}

}  // namespace chiasm::vision
