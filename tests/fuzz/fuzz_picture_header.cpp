/// Any bytes: read_header gives a size and an orientation that make sense, or throws MediaError.
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "vision/image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const chiasm::vision::PictureInfo info = chiasm::vision::read_header(bytes);
    if (info.width < 1 || info.height < 1 || info.orientation < 1 || info.orientation > 8) {
      std::abort();
    }
    chiasm::vision::check_limits(info, size, {});
  } catch (const chiasm::MediaError&) {
  }
  return 0;
}
