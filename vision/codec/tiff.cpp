/// The first page of a TIFF through libtiff: blocks of raw samples, converted here, because
/// libtiff's own conversion to RGB scales and premultiplies otherwise than Pillow.
#include <tiffio.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "vision/codec/codec.h"
#include "vision/codec/tiff_samples.h"

namespace chiasm::vision {

namespace {

/// A file in memory, in the shape of libtiff's callbacks, and its last error.
struct Source {
  std::span<const std::byte> bytes;
  std::uint64_t at = 0;
  std::string error;
};

Source& source(thandle_t handle) { return *static_cast<Source*>(handle); }

tmsize_t read_some(thandle_t handle, void* out, tmsize_t count) {
  Source& s = source(handle);
  const std::uint64_t rest = s.at < s.bytes.size() ? s.bytes.size() - s.at : 0;
  const std::uint64_t n =
      std::min<std::uint64_t>(rest, std::uint64_t(std::max<tmsize_t>(count, 0)));
  if (n > 0) std::memcpy(out, s.bytes.data() + s.at, n);
  s.at += n;
  return tmsize_t(n);
}

toff_t seek(thandle_t handle, toff_t offset, int whence) {
  Source& s = source(handle);
  if (whence == SEEK_SET) s.at = offset;
  if (whence == SEEK_CUR) s.at += offset;
  if (whence == SEEK_END) s.at = s.bytes.size() + offset;
  return s.at;
}

int on_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  char text[256];
  std::vsnprintf(text, sizeof(text), format, arguments);
  static_cast<Source*>(user)->error = text;
  return 1;  // handled: nothing reaches stderr
}

int on_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct Close {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using Tiff = std::unique_ptr<TIFF, Close>;

Tiff open(Source& s) {
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             TIFFOpenOptionsFree);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &s);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &s);
  // "m": no memory map; the data are in memory already.
  Tiff tiff(TIFFClientOpenExt(
      "picture", "rm", &s, read_some, [](thandle_t, void*, tmsize_t) -> tmsize_t { return 0; },
      seek, [](thandle_t) { return 0; },
      [](thandle_t h) -> toff_t { return source(h).bytes.size(); }, nullptr, nullptr,
      options.get()));
  if (tiff == nullptr) fail<MediaError>(s.error.empty() ? "is damaged" : s.error);
  return tiff;
}

template <class T>
T field(TIFF* tiff, std::uint32_t tag, T otherwise) {
  T value = otherwise;
  return TIFFGetFieldDefaulted(tiff, tag, &value) == 1 ? value : otherwise;
}

TiffLayout read_layout(TIFF* tiff, const PictureInfo& info) {
  TiffLayout out;
  out.bits = field<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  out.samples = field<std::uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  out.format = field<std::uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  out.photometric = field<std::uint16_t>(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
  std::uint16_t extras = 0;
  const std::uint16_t* kinds = nullptr;
  if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extras, &kinds) == 1 && extras > 0) {
    out.premultiplied = kinds[0] == EXTRASAMPLE_ASSOCALPHA;
  }
  const std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
  if (out.photometric == PHOTOMETRIC_PALETTE) {
    if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue) != 1) {
      fail<MediaError>("has no palette");
    }
    for (std::size_t i = 0; i < (std::size_t(1) << std::min<int>(out.bits, 8)); i++) {
      out.palette[i] = {std::uint8_t(red[i] >> 8), std::uint8_t(green[i] >> 8),
                        std::uint8_t(blue[i] >> 8)};
    }
  }
  const auto compression = field<std::uint16_t>(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  if (out.photometric == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG &&
      field<std::uint16_t>(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) ==
          PLANARCONFIG_CONTIG) {
    TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    out.photometric = PHOTOMETRIC_RGB;
  }
  if (field<std::uint32_t>(tiff, TIFFTAG_IMAGEWIDTH, 0) != info.width ||
      field<std::uint32_t>(tiff, TIFFTAG_IMAGELENGTH, 0) != info.height) {
    fail<MediaError>("decodes to another size than its header says");
  }
  return out;
}

/// The strips or tiles that a picture is stored in.
struct Blocks {
  bool tiled;
  std::int64_t width, height;  // of a block, pixels
  std::size_t bytes, row;      // of a block, and of one of its rows
  int planes;                  // blocks to read for the same pixels
};

Blocks read_blocks(TIFF* tiff, const TiffLayout& layout, const PictureInfo& info) {
  Blocks b{};
  b.tiled = TIFFIsTiled(tiff) != 0;
  if (b.tiled) {
    b.width = field<std::uint32_t>(tiff, TIFFTAG_TILEWIDTH, 0);
    b.height = field<std::uint32_t>(tiff, TIFFTAG_TILELENGTH, 0);
  } else {
    b.width = info.width;
    b.height = std::min<std::int64_t>(field<std::uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP, UINT32_MAX),
                                      info.height);
  }
  b.bytes =
      std::size_t(b.tiled ? TIFFTileSize64(tiff) : TIFFVStripSize64(tiff, std::uint32_t(b.height)));
  b.row = std::size_t(b.tiled ? TIFFTileRowSize64(tiff) : TIFFScanlineSize64(tiff));
  const bool apart = field<std::uint16_t>(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) ==
                     PLANARCONFIG_SEPARATE;
  b.planes = apart ? layout.samples : 1;
  // The widest pixels take 16 bytes; a tile may be larger than the picture, within reason.
  const std::size_t most = std::size_t(info.width * info.height) * 16 + (std::size_t(1) << 24);
  if (b.width < 1 || b.height < 1 || b.bytes == 0 || b.bytes > most ||
      b.row < layout.row_bytes(b.width, apart) || b.row * std::size_t(b.height) > b.bytes) {
    fail<MediaError>("has strips or tiles of an impossible size");
  }
  return b;
}

void read_block(TIFF* tiff, const Source& s, const Blocks& blocks, std::int64_t x, std::int64_t y,
                int plane, std::vector<std::uint8_t>& out) {
  const auto px = std::uint32_t(x), py = std::uint32_t(y);
  const auto sample = std::uint16_t(plane);
  const auto bytes = tmsize_t(out.size());
  const tmsize_t got =
      blocks.tiled
          ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, px, py, 0, sample), out.data(), bytes)
          : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, py, sample), out.data(), bytes);
  if (got < 0) fail<MediaError>(s.error.empty() ? "is damaged or truncated" : s.error);
}

/// Colour that only libtiff itself converts, as Pillow has it do: subsampled or planar YCbCr.
Image decode_by_libtiff(TIFF* tiff, const Source& s, const PictureInfo& info) {
  Image image = blank(info);
  std::vector<std::uint32_t> pixels(std::size_t(info.width * info.height));
  const auto stored = field<std::uint16_t>(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  if (TIFFReadRGBAImageOriented(tiff, std::uint32_t(info.width), std::uint32_t(info.height),
                                pixels.data(), stored, 1) != 1) {
    fail<MediaError>(s.error.empty() ? "is damaged or truncated" : s.error);
  }
  for (std::size_t i = 0; i < pixels.size(); i++) {
    image.rgb[3 * i] = std::uint8_t(TIFFGetR(pixels[i]));
    image.rgb[3 * i + 1] = std::uint8_t(TIFFGetG(pixels[i]));
    image.rgb[3 * i + 2] = std::uint8_t(TIFFGetB(pixels[i]));
  }
  return image;
}

}  // namespace

Image decode_tiff(std::span<const std::byte> bytes, const PictureInfo& info) {
  Source s{bytes, 0, {}};
  const Tiff tiff = open(s);
  const TiffLayout layout = read_layout(tiff.get(), info);
  if (layout.photometric == PHOTOMETRIC_YCBCR) return decode_by_libtiff(tiff.get(), s, info);
  layout.check();
  const Blocks blocks = read_blocks(tiff.get(), layout, info);
  Image image = blank(info);
  const bool apart = blocks.planes > 1;
  std::vector<std::uint8_t> block(blocks.bytes), joined;
  if (apart) joined.resize(layout.row_bytes(blocks.width, false) * std::size_t(blocks.height));
  for (std::int64_t y = 0; y < info.height; y += blocks.height) {
    const std::int64_t rows = std::min(blocks.height, info.height - y);
    // Only the rows that exist: the last strip may be short, and its data end with it.
    block.resize(blocks.tiled ? blocks.bytes : blocks.row * std::size_t(rows));
    for (std::int64_t x = 0; x < info.width; x += blocks.width) {
      for (int plane = 0; plane < blocks.planes; plane++) {
        read_block(tiff.get(), s, blocks, x, y, plane, block);
        if (apart) layout.join(block, plane, joined);
      }
      const std::int64_t columns = std::min(blocks.width, info.width - x);
      const std::uint8_t* from = apart ? joined.data() : block.data();
      const std::size_t stride = apart ? layout.row_bytes(blocks.width, false) : blocks.row;
      for (std::int64_t row = 0; row < rows; row++) {
        layout.to_rgb(from + std::size_t(row) * stride, columns,
                      image.rgb.data() + ((y + row) * info.width + x) * 3);
      }
    }
  }
  return image;
}

}  // namespace chiasm::vision
