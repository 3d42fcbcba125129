/// The first picture of a GIF, through giflib.
#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "core/error.h"
#include "vision/codec/codec.h"

namespace chiasm::vision {

namespace {

struct Close {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};

int read_some(GifFileType* gif, GifByteType* out, int count) {
  auto& rest = *static_cast<std::span<const std::byte>*>(gif->UserData);
  const std::size_t n = std::min(rest.size(), std::size_t(count));
  std::memcpy(out, rest.data(), n);
  rest = rest.subspan(n);
  return int(n);
}

[[noreturn]] void give_up(int error) {
  const char* text = GifErrorString(error);
  fail<MediaError>(text != nullptr ? text : "is damaged or truncated");
}

/// Moves on to the first picture; returns the transparent index announced before it, or -1.
int find_picture(GifFileType* gif) {
  int transparent = -1;
  for (;;) {
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(gif, &record) == GIF_ERROR) give_up(gif->Error);
    if (record == IMAGE_DESC_RECORD_TYPE) {
      if (DGifGetImageDesc(gif) == GIF_ERROR) give_up(gif->Error);
      return transparent;
    }
    if (record == TERMINATE_RECORD_TYPE) fail<MediaError>("holds no picture");
    int code = 0;
    GifByteType* block = nullptr;
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR) give_up(gif->Error);
    if (code == GRAPHICS_EXT_FUNC_CODE && block != nullptr && block[0] >= 4 &&
        (block[1] & 1) != 0) {
      transparent = block[4];
    }
    while (block != nullptr) {
      if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) give_up(gif->Error);
    }
  }
}

/// Colours of the indices. Beyond the table Pillow's are black; without any table, grey.
std::array<std::array<std::uint8_t, 3>, 256> colors_of(const GifFileType* gif) {
  std::array<std::array<std::uint8_t, 3>, 256> colors{};
  const ColorMapObject* map = gif->Image.ColorMap != nullptr ? gif->Image.ColorMap : gif->SColorMap;
  for (std::size_t i = 0; i < 256; i++) {
    if (map == nullptr) {
      colors[i].fill(std::uint8_t(i));
    } else if (i < std::size_t(map->ColorCount)) {
      colors[i] = {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue};
    }
  }
  return colors;
}

}  // namespace

Image decode_gif(std::span<const std::byte> bytes, const PictureInfo& info) {
  int error = 0;
  const std::unique_ptr<GifFileType, Close> gif(DGifOpen(&bytes, read_some, &error));
  if (gif == nullptr) give_up(error);
  const int transparent = find_picture(gif.get());
  const GifImageDesc& part = gif->Image;
  if (part.Left < 0 || part.Top < 0 || part.Width < 0 || part.Height < 0 ||
      part.Left + part.Width > info.width || part.Top + part.Height > info.height) {
    fail<MediaError>("its first picture leaves the screen");
  }
  const auto colors = colors_of(gif.get());
  Image image = blank(info);
  // What the picture leaves uncovered shows the transparent index, else index 0.
  const auto& background = colors[std::size_t(std::max(transparent, 0))];
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    std::copy(background.begin(), background.end(), image.rgb.begin() + std::ptrdiff_t(i));
  }
  std::vector<GifPixelType> line(std::size_t(part.Width));
  const auto read_line = [&](int y) {
    if (DGifGetLine(gif.get(), line.data(), part.Width) == GIF_ERROR) give_up(gif->Error);
    auto* out = image.rgb.data() + ((part.Top + std::int64_t(y)) * info.width + part.Left) * 3;
    for (const GifPixelType index : line) {
      std::copy(colors[index].begin(), colors[index].end(), out);
      out += 3;
    }
  };
  if (part.Width == 0) return image;
  constexpr int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
  for (int pass = 0; pass < (part.Interlace ? 4 : 1); pass++) {
    for (int y = part.Interlace ? first[pass] : 0; y < part.Height;
         y += part.Interlace ? step[pass] : 1) {
      read_line(y);
    }
  }
  return image;
}

}  // namespace chiasm::vision
