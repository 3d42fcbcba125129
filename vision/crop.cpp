#include "vision/crop.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace chiasm::vision {

namespace {

/// One axis of `centre_cut`: offset and length of the cut, pixels before and after it.
struct Span {
  std::int64_t begin, length, before, after;
};

Span centred(std::int64_t from, std::int64_t to) {
  if (to > from) return {0, from, (to - from) / 2, (to - from + 1) / 2};
  return {(from - to) / 2, to, 0, 0};
}

}  // namespace

Image crop(const Image& image, const Box& box) {
  Image out{box.width, box.height,
            std::vector<std::uint8_t>(std::size_t(box.width * box.height * 3))};
  const auto bytes = std::size_t(box.width * 3);
  for (std::int64_t y = 0; y < box.height; y++) {
    std::memcpy(out.rgb.data() + std::size_t(y) * bytes,
                image.rgb.data() + ((box.top + y) * image.width + box.left) * 3, bytes);
  }
  return out;
}

Image pad(Image image, const Border& border, const Colour& colour) {
  const std::int64_t width = border.left + image.width + border.right;
  const std::int64_t height = border.top + image.height + border.bottom;
  if (width == image.width && height == image.height) return image;
  constexpr std::int64_t kMostPixels = std::int64_t(1) << 28;
  if (width > kMostPixels / height) {
    fail<MediaError>("an image of ", image.width, " x ", image.height,
                     " pixels is too thin: padded ", "to ", width, " x ", height,
                     " it would be over ", kMostPixels, " pixels");
  }
  Image out{width, height, std::vector<std::uint8_t>(std::size_t(width * height * 3))};
  if (colour != Colour{}) {
    for (std::size_t i = 0; i < out.rgb.size(); i++) out.rgb[i] = colour[i % 3];
  }
  const auto bytes = std::size_t(image.width * 3);
  for (std::int64_t y = 0; y < image.height; y++) {
    std::memcpy(out.rgb.data() + ((border.top + y) * width + border.left) * 3,
                image.rgb.data() + std::size_t(y) * bytes, bytes);
  }
  return out;
}

Border centred_border(PictureSize from, PictureSize to) {
  const std::int64_t x = to.width - from.width, y = to.height - from.height;
  return {x / 2, y / 2, x - x / 2, y - y / 2};
}

CentreCut centre_cut(PictureSize from, PictureSize to) {
  const Span x = centred(from.width, to.width), y = centred(from.height, to.height);
  return {{x.begin, y.begin, x.length, y.length}, {x.before, y.before, x.after, y.after}};
}

Tile as_tile(Image image) {
  return {image.width, image.height, {image.height, image.width}, std::move(image.rgb)};
}

void append_tiles(const Image& image, PictureSize tile, std::vector<Tile>& tiles) {
  for (std::int64_t y = 0; y + tile.height <= image.height; y += tile.height) {
    for (std::int64_t x = 0; x + tile.width <= image.width; x += tile.width) {
      tiles.push_back(as_tile(crop(image, {x, y, tile.width, tile.height})));
    }
  }
}

}  // namespace chiasm::vision
