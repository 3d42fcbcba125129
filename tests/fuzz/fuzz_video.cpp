/// Any bytes: a video gives frames of the size it claims, or throws MediaError.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "core/error.h"
#include "vision/video_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using chiasm::vision::Image;
  chiasm::vision::VideoLimits limits;
  limits.max_frames = 200;  // many short videos find more than a few long ones
  limits.max_pixels = 1 << 16;
  const auto bytes = std::make_shared<const std::string>(reinterpret_cast<const char*>(data), size);
  try {
    chiasm::vision::VideoFile video(bytes, limits);
    const std::int64_t frames = video.info().frames;
    if (frames < 1 || frames > limits.max_frames) std::abort();
    const std::array<std::int64_t, 3> some{0, frames / 2, frames - 1};
    video.read(
        some, [] {},
        [](const Image& frame) {
          if (frame.rgb.size() != std::size_t(frame.width * frame.height * 3)) std::abort();
        });
  } catch (const chiasm::MediaError&) {
  } catch (const chiasm::DeviceError&) {  // no FFmpeg here: nothing to try
  }
  return 0;
}
