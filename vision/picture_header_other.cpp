/// Headers of BMP, TIFF and binary PNM.
#include "vision/orientation.h"
#include "vision/picture_header.h"

namespace chiasm::vision {

namespace {

bool is_space(std::uint32_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The next decimal number of a PNM header; comments run from # to the end of the line.
std::int64_t next_number(Bytes b, std::size_t& at) {
  for (;;) {
    if (b.u8(at) == '#') {
      while (b.u8(at) != '\n' && b.u8(at) != '\r') at++;
    } else if (!is_space(b.u8(at))) {
      break;
    }
    at++;
  }
  std::int64_t value = 0;
  for (; !is_space(b.u8(at)); at++) {
    const std::uint32_t c = b.u8(at);
    if (c < '0' || c > '9' || value > 1'000'000'000) {
      fail<MediaError>("has no number at offset ", at, " of its header");
    }
    value = value * 10 + (c - '0');
  }
  at++;  // exactly one space stands before the pixels
  return value;
}

}  // namespace

PictureInfo read_bmp_header(Bytes bytes) {
  const Bytes b(bytes.span(), true);
  PictureInfo info;
  info.format = Format::bmp;
  const std::uint32_t header = b.u32(14);
  if (header == 12) {
    info.width = b.u16(18);
    info.height = b.u16(20);
    return info;
  }
  if (header < 40 || header > 124) fail<MediaError>("has an unknown header of ", header, " bytes");
  info.width = std::int32_t(b.u32(18));
  info.height = std::int32_t(b.u32(22));
  if (info.height < 0) info.height = -info.height;  // stored from the top
  return info;
}

PictureInfo read_tiff_header(Bytes b) {
  PictureInfo info;
  info.format = Format::tiff;
  const TiffTags tags = read_tiff_tags(b.span());
  if (!tags.width || !tags.height || *tags.width > INT32_MAX || *tags.height > INT32_MAX) {
    fail<MediaError>("has no size in its first directory");
  }
  info.width = std::int64_t(*tags.width);
  info.height = std::int64_t(*tags.height);
  if (tags.orientation && *tags.orientation >= 1 && *tags.orientation <= 8) {
    info.orientation = int(*tags.orientation);
  } else if (!tags.orientation) {
    info.orientation = orientation_from({}, tags.xmp);
  }
  return info;
}

PnmLayout read_pnm_layout(Bytes b) {
  PnmLayout out;
  out.kind = char(b.u8(1));
  std::size_t at = 2;
  if (!is_space(b.u8(2)) && b.u8(2) != '#') fail<MediaError>("has no space after its kind");
  out.width = next_number(b, at);
  out.height = next_number(b, at);
  if (out.kind != '4') {
    out.largest = next_number(b, at);
    if (out.largest < 1 || out.largest > 65535) {
      fail<MediaError>("claims a largest value of ", out.largest, ", expected 1 to 65535");
    }
  }
  out.pixels = at;
  return out;
}

PictureInfo read_pnm_header(Bytes b) {
  const PnmLayout layout = read_pnm_layout(b);
  return {Format::pnm, layout.width, layout.height, 1};
}

}  // namespace chiasm::vision
