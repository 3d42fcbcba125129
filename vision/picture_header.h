#pragma once
/// Header readers of the formats, one each; `read_header` chooses. All throw MediaError.
#include "vision/bytes.h"
#include "vision/image.h"

namespace chiasm::vision {

PictureInfo read_jpeg_header(Bytes b);
PictureInfo read_png_header(Bytes b);
PictureInfo read_gif_header(Bytes b);
PictureInfo read_webp_header(Bytes b);
PictureInfo read_bmp_header(Bytes b);
PictureInfo read_tiff_header(Bytes b);
PictureInfo read_pnm_header(Bytes b);

/// What binary PNM needs besides its size.
struct PnmLayout {
  char kind = '6';  // '4' bits, '5' grey, '6' RGB
  std::int64_t width = 0, height = 0, largest = 1;
  std::size_t pixels = 0;  // offset
};
PnmLayout read_pnm_layout(Bytes b);

}  // namespace chiasm::vision
