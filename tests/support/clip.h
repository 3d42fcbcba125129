#pragma once
/// The moving pictures of tests/reference/make_video_golden.py, made anew from integers.
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "runtime/request.h"

namespace chiasm::testing {

constexpr std::int64_t kClipWidth = 50, kClipHeight = 34;
constexpr double kClipFps = 7.5;

/// Frame `t` of the clip.
inline vision::Image clip_frame(std::int64_t t, std::int64_t width = kClipWidth,
                                std::int64_t height = kClipHeight) {
  vision::Image image{width, height, {}};
  for (std::int64_t y = 0; y < height; y++) {
    for (std::int64_t x = 0; x < width; x++) {
      const std::int64_t r = (255 * x / (width - 1) + 13 * t) % 256;
      const std::int64_t g = (255 * y / (height - 1) + 7 * t * t) % 256;
      const std::int64_t b = (x * x + 3 * x * y + 7 * y + 29 * t) % 251;
      const std::int64_t across = 2 * x - width + 4 * t, down = 2 * y - height;
      const std::int64_t small = std::min(width, height);
      const bool disc = across * across + down * down < small * small / 2;
      for (const std::int64_t v : {disc ? 255 - r : r, disc ? 40 : g, b}) {
        image.rgb.push_back(std::uint8_t(v));
      }
    }
  }
  return image;
}

inline VideoInput golden_clip(std::int64_t frames, double fps = kClipFps) {
  std::vector<ImageInput> pictures;
  for (std::int64_t t = 0; t < frames; t++) {
    pictures.push_back(ImageInput::from_pixels(clip_frame(t)));
  }
  return VideoInput::from_frames(std::move(pictures), fps, "clip");
}

}  // namespace chiasm::testing
