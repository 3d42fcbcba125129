/// Headers of the web's formats: JPEG, PNG, GIF and WebP.
#include <zlib.h>

#include <algorithm>
#include <string>

#include "vision/orientation.h"
#include "vision/picture_header.h"

namespace chiasm::vision {

namespace {

/// Frame headers: all SOFn except DHT, JPG and DAC, which share the range.
bool is_frame(std::uint32_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/// Markers without a length: fill bytes, TEM, RSTn, SOI, EOI.
bool is_bare(std::uint32_t marker) {
  return marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd9);
}

/// `text` inflated, cut after a mebibyte; empty when damaged.
std::string inflate_text(std::string_view text) {
  constexpr uLongf most = 1 << 20;
  std::string out(most, '\0');
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return {};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = uInt(std::min<std::size_t>(text.size(), most));
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = uInt(most);
  const int status = inflate(&stream, Z_FINISH);
  out.resize(status == Z_STREAM_END ? stream.total_out : 0);
  inflateEnd(&stream);
  return out;
}

/// Metadata of a PNG that tell which way up it is.
struct PngText {
  std::string exif, raw_exif, xmp;
  int inflations = 8;  // left: a small file must not keep us busy with them

  std::string inflate(std::string_view text) {
    return inflations-- > 0 ? inflate_text(text) : std::string();
  }
};

/// ImageMagick's "Raw profile type exif": three lines, then hexadecimal digits.
std::string raw_profile(std::string_view text) {
  for (int line = 0; line < 3; line++) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string out;
  int digits = 0, value = 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) continue;
    value = value * 16 + digit;
    if (++digits % 2 == 0) {
      out += char(value);
      value = 0;
    }
  }
  return out;
}

/// Splits at the first zero byte; false when there is none.
bool cut(std::string_view& rest, std::string_view& head) {
  const std::size_t end = rest.find('\0');
  if (end == std::string_view::npos) return false;
  head = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return true;
}

void read_png_text(std::string_view type, std::string_view rest, PngText& out) {
  std::string_view key, language, translated;
  if (type == "eXIf") out.exif = rest;
  if (type == "tEXt" && cut(rest, key) && key == "Raw profile type exif") {
    out.raw_exif = raw_profile(rest);
  }
  if (type == "zTXt" && cut(rest, key) && key == "Raw profile type exif" && !rest.empty()) {
    out.raw_exif = raw_profile(out.inflate(rest.substr(1)));
  }
  if (type == "iTXt" && cut(rest, key) && key == "XML:com.adobe.xmp" && rest.size() >= 2) {
    const bool compressed = rest[0] != 0;
    rest.remove_prefix(2);
    if (!cut(rest, language) || !cut(rest, translated)) return;
    out.xmp = compressed ? out.inflate(rest) : std::string(rest);
  }
}

/// Skips a chain of GIF data blocks from `at`; returns the offset behind its end mark.
std::size_t skip_blocks(Bytes b, std::size_t at) {
  while (b.u8(at) != 0) at += 1 + b.u8(at);
  return at + 1;
}

std::size_t color_table(std::uint32_t flags) {
  return (flags & 0x80) != 0 ? std::size_t(3) << ((flags & 7) + 1) : 0;
}

}  // namespace

PictureInfo read_jpeg_header(Bytes b) {
  PictureInfo info;
  info.format = Format::jpeg;
  std::string exif, xmp;
  std::size_t at = 2;
  for (;;) {
    while (b.u8(at) != 0xff) at++;  // junk between segments is skipped, as decoders do
    while (b.u8(at) == 0xff) at++;
    const std::uint32_t marker = b.u8(at++);
    if (is_bare(marker)) continue;
    const std::size_t length = b.u16(at);
    if (length < 2) fail<MediaError>("segment at offset ", at, ": length ", length);
    const Bytes segment = b.slice(at + 2, length - 2);
    at += length;
    if (is_frame(marker) && info.width == 0) {
      if (segment.u8(0) != 8) {
        fail<MediaError>("has ", segment.u8(0), " bits a sample; only 8 are supported");
      }
      const std::uint32_t layers = segment.u8(5);
      if (layers != 1 && layers != 3 && layers != 4) {
        fail<MediaError>("has ", layers, " colour channels; 1, 3 or 4 are supported");
      }
      info.height = segment.u16(1);
      info.width = segment.u16(3);
    }
    if (marker == 0xe1 && segment.begins(std::string_view("Exif\0\0", 6))) {
      exif += exif.empty() ? segment.text() : segment.from(6).text();  // long blocks are split
    }
    constexpr std::string_view xmp_magic("http://ns.adobe.com/xap/1.0/\0", 29);
    if (marker == 0xe1 && segment.begins(xmp_magic)) xmp = segment.from(29).text();
    if (marker == 0xda) break;
  }
  info.orientation = orientation_from(exif, xmp);
  return info;
}

PictureInfo read_png_header(Bytes b) {
  PictureInfo info;
  info.format = Format::png;
  if (!b.begins("IHDR", 12)) fail<MediaError>("begins with no IHDR chunk");
  info.width = b.u32(16);
  info.height = b.u32(20);
  PngText text;
  // Text may stand behind the pixels. A damaged tail is the decoder's to judge.
  for (std::size_t at = 8; b.has(at, 12);) {
    const std::size_t length = b.u32(at);
    if (!b.has(at + 8, length)) break;
    const std::string_view type = b.slice(at + 4, 4).text();
    if (type == "IEND") break;
    read_png_text(type, b.slice(at + 8, length).text(), text);
    at += 12 + length;
  }
  info.orientation = orientation_from(text.exif.empty() ? text.raw_exif : text.exif, text.xmp);
  return info;
}

PictureInfo read_gif_header(Bytes bytes) {
  const Bytes b(bytes.span(), true);
  PictureInfo info;
  info.format = Format::gif;
  info.width = b.u16(6);
  info.height = b.u16(8);
  std::size_t at = 13 + color_table(b.u8(10));
  for (;;) {
    const std::uint32_t kind = b.u8(at++);
    if (kind == 0x21) {
      at = skip_blocks(b, at + 1);
    } else if (kind == 0x2c) {  // a picture; Pillow lets the first one widen the screen
      info.width = std::max<std::int64_t>(info.width, b.u16(at) + b.u16(at + 4));
      info.height = std::max<std::int64_t>(info.height, b.u16(at + 2) + b.u16(at + 6));
      return info;
    } else if (kind == 0x3b) {
      fail<MediaError>("holds no picture");
    }
  }
}

PictureInfo read_webp_header(Bytes bytes) {
  const Bytes b(bytes.span(), true);
  PictureInfo info;
  info.format = Format::webp;
  if (!b.begins("RIFF")) fail<MediaError>("is no RIFF file");
  if (b.begins("VP8 ", 12)) {
    if (!b.begins("\x9d\x01\x2a", 23)) fail<MediaError>("has no key frame at offset 20");
    info.width = b.u16(26) & 0x3fff;
    info.height = b.u16(28) & 0x3fff;
    return info;
  }
  if (b.begins("VP8L", 12)) {
    if (b.u8(20) != 0x2f) fail<MediaError>("has no lossless signature at offset 20");
    const std::uint32_t bits = b.u32(21);
    info.width = (bits & 0x3fff) + 1;
    info.height = (bits >> 14 & 0x3fff) + 1;
    return info;
  }
  if (!b.begins("VP8X", 12)) fail<MediaError>("has an unknown first chunk");
  info.width = std::int64_t(b.u24(24)) + 1;
  info.height = std::int64_t(b.u24(27)) + 1;
  std::string_view exif, xmp;
  for (std::size_t at = 12; b.has(at, 8);) {
    const std::size_t length = b.u32(at + 4);
    if (!b.has(at + 8, length)) break;
    if (b.begins("EXIF", at)) exif = b.slice(at + 8, length).text();
    if (b.begins("XMP ", at)) xmp = b.slice(at + 8, length).text();
    at += 8 + length + length % 2;
  }
  info.orientation = orientation_from(exif, xmp);
  return info;
}

}  // namespace chiasm::vision
