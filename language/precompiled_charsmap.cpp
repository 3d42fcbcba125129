#include "language/precompiled_charsmap.h"

#include <array>
#include <cstring>

#include "core/error.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

constexpr std::size_t kWholeCluster = 6;  // bytes; longer clusters go character by character

std::string from_base64(const Json& json) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int, 256> value{};
  value.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    value[static_cast<unsigned char>(alphabet[i])] = int(i);
  }
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : json.str()) {
    if (c == '=' || c == '\n') continue;
    const int six = value[static_cast<unsigned char>(c)];
    if (six < 0) fail<ModelError>(json.where(), ": is no base64");
    bits = bits << 6 | std::uint32_t(six);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += char(bits >> count & 0xFF);
  }
  return out;
}

// Parts of a unit of the double array.
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7FFFFFFF; }
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000FF; }
std::size_t offset_of(std::uint32_t unit) {
  return std::size_t(unit >> 10) << ((unit & 1u << 9) >> 6);
}

}  // namespace

PrecompiledCharsmap::PrecompiledCharsmap(const Json& json) {
  const std::string bytes = from_base64(json);
  std::uint32_t size = 0;
  if (bytes.size() >= sizeof size) std::memcpy(&size, bytes.data(), sizeof size);
  if (size == 0 || size % sizeof size != 0 || size > bytes.size() - sizeof size) {
    fail<ModelError>(json.where(), ": is damaged: ", size, " bytes of table among ", bytes.size());
  }
  units_.resize(size / sizeof size);
  std::memcpy(units_.data(), bytes.data() + sizeof size, size);
  texts_ = bytes.substr(sizeof size + size);
  if (first_invalid_utf8(texts_) != std::string_view::npos) {
    fail<ModelError>(json.where(), ": is damaged: its texts are no UTF-8");
  }
}

std::optional<std::string_view> PrecompiledCharsmap::find(std::string_view piece) const {
  const auto unit = [&](std::size_t at) { return at < units_.size() ? units_[at] : 0; };
  std::size_t at = offset_of(unit(0));
  for (const char c : piece) {
    const auto byte = static_cast<unsigned char>(c);
    at ^= byte;
    const std::uint32_t here = unit(at);
    if (byte == 0 || label_of(here) != byte) return std::nullopt;
    at ^= offset_of(here);
    if (!has_leaf(here)) continue;
    const std::size_t begin = value_of(unit(at));
    const bool damaged = begin > texts_.size() || (texts_.c_str()[begin] & 0xC0) == 0x80;
    if (damaged) return std::nullopt;  // outside, or in the midst of a character
    const std::size_t end = texts_.find('\0', begin);
    return std::string_view(texts_).substr(begin, end == std::string::npos ? end : end - begin);
  }
  return std::nullopt;
}

std::string PrecompiledCharsmap::run(std::string_view text) const {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = grapheme_end(text, begin);
    const auto cluster = text.substr(begin, end - begin);
    const auto whole = cluster.size() < kWholeCluster ? find(cluster) : std::nullopt;
    if (whole) out += *whole;
    for (std::size_t at = 0; !whole && at < cluster.size();) {
      const auto character = cluster.substr(at, utf8_length(cluster[at]));
      out += find(character).value_or(character);
      at += character.size();
    }
    begin = end;
  }
  return out;
}

}  // namespace chiasm::language
