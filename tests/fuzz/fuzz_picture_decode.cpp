/// Any bytes: decoding gives as many pixels as it claims, or throws MediaError; through the format
/// libraries with our own BMP, PNM and TIFF readers, and through stb_image.
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "vision/codec/codec.h"
#include "vision/image.h"

namespace {

using chiasm::vision::Image;

template <class Decode>
void attempt(Decode&& decode) {
  try {
    const Image image = decode();
    if (std::int64_t(image.rgb.size()) != image.width * image.height * 3) std::abort();
  } catch (const chiasm::MediaError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  chiasm::vision::MediaLimits limits;
  limits.max_pixels = 1 << 16;  // many small pictures find more than a few large ones
  attempt([&] { return chiasm::vision::decode(bytes, limits); });
  attempt([&] {
    const auto info = chiasm::vision::read_header(bytes);
    check_limits(info, size, limits);
    return chiasm::vision::decode_stb(bytes, info);
  });
  return 0;
}
