#pragma once
/// Pictures and golden values of the vision tests; see tests/reference/make_vision_golden.py.
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/json.h"
#include "vision/image.h"

namespace chiasm::testing {

inline std::filesystem::path vision_folder() {
  return std::filesystem::path(CHIASM_SOURCE_DIR) / "tests/golden/vision";
}

inline const Json& vision_golden() {
  static const Json golden = Json::load(vision_folder() / "golden.json");
  return golden;
}

inline std::string picture_bytes(const std::string& file) {
  return read_file(vision_folder() / "pictures" / file, std::size_t(1) << 30);
}

inline vision::Image decoded(const std::string& bytes) {
  return vision::decode(std::as_bytes(std::span(bytes)));
}

inline std::uint32_t crc(const void* data, std::size_t bytes) {
  return std::uint32_t(crc32_z(0, static_cast<const Bytef*>(data), bytes));
}

inline std::uint32_t crc(const vision::Image& image) {
  return crc(image.rgb.data(), image.rgb.size());
}

/// The script's `formula`: slopes, noise, and blocks of pure black and white.
inline vision::Image formula(std::int64_t width, std::int64_t height) {
  vision::Image image{width, height, std::vector<std::uint8_t>(std::size_t(width * height * 3))};
  std::uint8_t* out = image.rgb.data();
  for (std::uint32_t y = 0; y < height; y++) {
    for (std::uint32_t x = 0; x < width; x++) {
      for (std::uint32_t c = 0; c < 3; c++) {
        std::uint32_t h = x * 0x9E3779B1u ^ y * 0x85EBCA77u ^ c * 0xC2B2AE3Du;
        h ^= h >> 15;
        h *= 0x2C1B3C6Du;
        h ^= h >> 12;
        const std::uint32_t block = (x / 16 + y / 16 + c) % 7;
        const std::uint32_t level = (((x * 5 + y * 3 + c * 40) >> 2) & 255) * 3 / 4 + (h & 63);
        *out++ = std::uint8_t(block == 0 ? 0 : block == 1 ? 255 : level);
      }
    }
  }
  return image;
}

/// A context on a pool of two threads that all vision tests share.
inline Context vision_context(Isa isa = best_isa()) {
  static ThreadPool pool(2);
  Context ctx;
  ctx.pool = &pool;
  ctx.isa = isa;
  return ctx;
}

/// Whether this build promises Pillow's pixels.
inline bool exact_pictures() { return vision::picture_decoder() == "native"; }

}  // namespace chiasm::testing
