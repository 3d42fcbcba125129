/// stb_image: JPEG, PNG and GIF for builds without the format libraries. Its JPEG arithmetic
/// differs from Pillow's, so such a build is not exact. Its PNM reader is left out: Debian 12's
/// writes past its buffer (fuzz_picture_decode found it); BMP and PNM have readers of our own in
/// every build.
#include <algorithm>
#include <memory>
#include <vector>

#include "core/error.h"
#include "vision/bytes.h"
#include "vision/codec/codec.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_GIF
#include <stb/stb_image.h>

namespace chiasm::vision {

namespace {

/// Debian 12's stb_image trusts JPEG's Huffman tables: it leaves its arrays where one has more than
/// 256 codes, says that a difference has more than 15 bits, or is used without being defined. This
/// looks at everything that stb could take for a table.
void check_huffman_tables(Bytes b) {
  const auto at_or_zero = [&](std::size_t at) { return b.has(at, 1) ? b.u8(at) : 0u; };
  for (std::size_t at = 0; b.has(at, 4); at++) {
    if (b.u8(at) != 0xff || b.u8(at + 1) != 0xc4) continue;
    // Like stb, reads whole tables even where the segment's length says otherwise.
    const std::size_t end = at + 2 + b.u16(at + 2);
    for (std::size_t table = at + 4; table < end;) {
      std::size_t codes = 0;
      for (std::size_t length = 1; length <= 16; length++) codes += at_or_zero(table + length);
      if (codes > 256) fail<MediaError>("has a Huffman table of ", codes, " codes");
      const bool differences = at_or_zero(table) < 16;
      for (std::size_t i = 0; i < codes && differences; i++) {
        if (at_or_zero(table + 17 + i) > 15) fail<MediaError>("has a damaged Huffman table");
      }
      table += 17 + codes;
    }
  }
}

/// The file with all eight tables defined at its begin; its own ones replace them.
std::vector<std::byte> with_huffman_tables(std::span<const std::byte> jpeg) {
  std::vector<std::byte> out(jpeg.begin(), jpeg.begin() + 2);
  for (const int byte : {0xff, 0xc4, 0, 2 + 8 * 18}) out.push_back(std::byte(byte));
  for (const int table : {0x00, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13}) {
    out.push_back(std::byte(table));
    out.push_back(std::byte(1));  // one code, of one bit, for the symbol 0
    out.insert(out.end(), 16, std::byte(0));
  }
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

}  // namespace

Image decode_stb(std::span<const std::byte> bytes, const PictureInfo& info) {
  if (info.format != Format::jpeg && info.format != Format::png && info.format != Format::gif) {
    fail<MediaError>(
        "this build reads pictures with stb_image, which lacks this format; build with ",
        "CHIASM_PICTURES=native");
  }
  if (bytes.size() > std::size_t(INT32_MAX)) fail<MediaError>("is too large for stb_image");
  std::vector<std::byte> completed;
  if (info.format == Format::jpeg) {
    check_huffman_tables(Bytes(bytes));
    completed = with_huffman_tables(bytes);
    bytes = completed;
  }
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
