#pragma once
/// Cutting and padding of 8-bit pictures.
#include <array>
#include <cstdint>

#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"
#include "vision/resize.h"

namespace chiasm::vision {

using Colour = std::array<std::uint8_t, 3>;

/// How many pixels to add on each side.
struct Border {
  std::int64_t left = 0, top = 0, right = 0, bottom = 0;
};

/// The pixels of `box`, which lies within `image`.
Image crop(const Image& image, const Box& box);

/// `image` with a border of one colour. MediaError when the result would be over 2^28 pixels.
Image pad(Image image, const Border& border, const Colour& colour = {});

/// Half of the missing pixels before and the other half, with an odd one, after.
Border centred_border(PictureSize from, PictureSize to);

/// The middle of a picture: what to cut out and then what to add, as transformers' center_crop
/// does, which fills with black what is smaller than `to`.
struct CentreCut {
  Box box;
  Border border;
};
CentreCut centre_cut(PictureSize from, PictureSize to);

/// A whole picture as a tile.
Tile as_tile(Image image);

/// Tiles of `tile` pixels, row by row; the sides of `image` are multiples of them.
void append_tiles(const Image& image, PictureSize tile, std::vector<Tile>& tiles);

}  // namespace chiasm::vision
