#pragma once
/// Safetensors files made by hand, honest or not.
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace chiasm::testing {

inline std::string little_endian(std::uint64_t v, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; i++) out.push_back(char(v >> (8 * i)));
  return out;
}

/// Header length, header, data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return little_endian(header.size(), 8) + std::string(header) + std::string(data);
}

inline std::string float_bytes(std::initializer_list<float> values) {
  std::string out;
  for (const float v : values) out += little_endian(std::bit_cast<std::uint32_t>(v), 4);
  return out;
}

}  // namespace chiasm::testing
