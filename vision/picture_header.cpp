#include "vision/picture_header.h"

#include <array>

#include "vision/orientation.h"

namespace chiasm::vision {

namespace {

struct Magic {
  std::size_t at;
  std::string_view bytes;
};

struct Known {
  Magic magic;
  Format format;
};

constexpr std::array kKnown{
    Known{{0, "\xff\xd8\xff"}, Format::jpeg},
    Known{{0, "\x89PNG\r\n\x1a\n"}, Format::png},
    Known{{0, "GIF87a"}, Format::gif},
    Known{{0, "GIF89a"}, Format::gif},
    Known{{8, "WEBPVP8"}, Format::webp},
    Known{{0, "BM"}, Format::bmp},
    Known{{0, {"II\x2a\0", 4}}, Format::tiff},
    Known{{0, {"MM\0\x2a", 4}}, Format::tiff},
    Known{{0, {"II\x2b\0", 4}}, Format::tiff},
    Known{{0, {"MM\0\x2b", 4}}, Format::tiff},
    Known{{0, "P4"}, Format::pnm},
    Known{{0, "P5"}, Format::pnm},
    Known{{0, "P6"}, Format::pnm},
};

struct Other {
  Magic magic;
  std::string_view what;
};

/// What people pass by mistake, and pictures of other kinds.
constexpr std::array kOthers{
    Other{{4, "ftypavif"}, "an AVIF picture"},
    Other{{4, "ftypavis"}, "an AVIF picture"},
    Other{{4, "ftyphei"}, "a HEIC picture"},
    Other{{4, "ftypmif1"}, "a HEIF picture"},
    Other{{4, "ftyp"}, "a video"},
    Other{{0, {"\0\0\0\x0cjP", 6}}, "a JPEG 2000 picture"},
    Other{{0, {"\0\0\1\0", 4}}, "an icon file"},
    Other{{0, "8BPS"}, "a Photoshop file"},
    Other{{0, "%PDF"}, "a PDF document"},
    Other{{0, "PK\3\4"}, "a ZIP archive"},
    Other{{0, "\x1f\x8b"}, "a gzip file"},
    Other{{0, "RIFF"}, "a RIFF file other than WebP"},
    Other{{0, "<svg"}, "an SVG drawing"},
    Other{{0, "<!DOCTYPE"}, "an HTML page"},
    Other{{0, "<html"}, "an HTML page"},
    Other{{0, "<?xml"}, "an XML document"},
    Other{{0, "version https://git-lfs"}, "a Git LFS pointer, not the file itself"},
};

bool is_text(std::string_view bytes) {
  for (const char c : bytes.substr(0, 512)) {
    const auto u = static_cast<unsigned char>(c);
    if ((u < 32 && c != '\n' && c != '\r' && c != '\t' && c != '\f') || u == 127) return false;
  }
  return true;
}

std::string_view guess(Bytes b) {
  for (const Other& other : kOthers) {
    if (b.begins(other.magic.bytes, other.magic.at)) return other.what;
  }
  return is_text(b.text()) ? "a text file" : "of an unknown format";
}

PictureInfo read_known(Format format, Bytes b) {
  switch (format) {
    case Format::jpeg:
      return read_jpeg_header(b);
    case Format::png:
      return read_png_header(b);
    case Format::gif:
      return read_gif_header(b);
    case Format::webp:
      return read_webp_header(b);
    case Format::bmp:
      return read_bmp_header(b);
    case Format::tiff:
      return read_tiff_header(b);
    case Format::pnm:
      return read_pnm_header(b);
  }
  fail<MediaError>("is of an unknown format");
}

}  // namespace

std::string_view name(Format format) {
  constexpr std::array<std::string_view, 7> names{"JPEG", "PNG",  "GIF", "WebP",
                                                  "BMP",  "TIFF", "PNM"};
  return names[std::size_t(format)];
}

PictureInfo read_header(std::span<const std::byte> bytes) {
  const Bytes b(bytes);
  if (bytes.empty()) fail<MediaError>("the picture is empty (0 bytes)");
  for (const Known& known : kKnown) {
    if (!b.begins(known.magic.bytes, known.magic.at)) continue;
    return in_context(name(known.format), [&] {
      const PictureInfo info = read_known(known.format, b);
      if (info.width < 1 || info.height < 1) {
        fail<MediaError>("the header claims a picture of ", info.width, " x ", info.height,
                         " pixels");
      }
      return info;
    });
  }
  fail<MediaError>("no picture that can be read, but ", guess(b),
                   "; supported are JPEG, PNG, GIF, WebP, BMP, TIFF and binary PNM");
}

void check_limits(const PictureInfo& info, std::size_t bytes, const MediaLimits& limits) {
  if (bytes > limits.max_bytes) {
    fail<MediaError>("the file has ", bytes, " bytes, the limit max_bytes is ", limits.max_bytes);
  }
  if (info.width > limits.max_side || info.height > limits.max_side) {
    fail<MediaError>("the picture has ", info.width, " x ", info.height,
                     " pixels, the limit max_side is ", limits.max_side);
  }
  if (info.width > limits.max_pixels / info.height) {
    fail<MediaError>("the picture has ", info.width, " x ", info.height,
                     " pixels, the limit max_pixels is ", limits.max_pixels);
  }
}

}  // namespace chiasm::vision
