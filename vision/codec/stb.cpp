/// stb_image: for builds without the format libraries. Its JPEG arithmetic differs from Pillow's,
/// so such a build is not exact; formats that stb_image lacks are refused.
#include <algorithm>
#include <memory>

#include "core/error.h"
#include "vision/codec/codec.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#include <stb/stb_image.h>

namespace chiasm::vision {

Image decode_stb(std::span<const std::byte> bytes, const PictureInfo& info) {
  if (info.format == Format::webp || info.format == Format::tiff) {
    fail<MediaError>(
        "this build reads pictures with stb_image, which lacks this format; build with ",
        "CHIASM_PICTURES=native");
  }
  if (bytes.size() > std::size_t(INT32_MAX)) fail<MediaError>("is too large for stb_image");
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), int(bytes.size()),
                            &width, &height, &channels, 3),
      stbi_image_free);
  if (pixels == nullptr) fail<MediaError>(stbi_failure_reason());
  if (width != info.width || height != info.height) {
    fail<MediaError>("decodes to another size than its header says");
  }
  Image image = blank(info);
  std::copy_n(pixels.get(), image.rgb.size(), image.rgb.begin());
  return image;
}

}  // namespace chiasm::vision
