/// Any bytes: a sound decodes to samples at the rate asked for, or throws MediaError.
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "audio/sound.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  chiasm::audio::SoundLimits limits;
  limits.max_seconds = 10;  // many short sounds find more than a few long ones
  limits.max_channels = 8;
  try {
    const auto info = chiasm::audio::read_header(bytes);
    chiasm::audio::check_limits(info, size, limits);
    if (info.seconds() > limits.max_seconds) std::abort();
    const auto sound = chiasm::audio::decode(bytes, limits, 16'000);
    if (sound.rate != 16'000 || sound.samples.empty() || sound.seconds() > 11) std::abort();
  } catch (const chiasm::MediaError&) {
  }
  return 0;
}
