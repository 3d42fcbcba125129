#pragma once
/// Reading numbers from bytes of unknown honesty: every access is checked.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/error.h"

namespace chiasm::vision {

/// A view of bytes; reading outside it is a MediaError. `little` chooses the order of u16 and u32.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes, bool little = false)
      : bytes_(bytes), little_(little) {}

  std::size_t size() const { return bytes_.size(); }
  bool has(std::size_t at, std::size_t count) const { return at <= size() && count <= size() - at; }
  /// `count` bytes from `at`, in the same order of bytes.
  Bytes slice(std::size_t at, std::size_t count) const {
    need(at, count);
    return Bytes(bytes_.subspan(at, count), little_);
  }
  Bytes from(std::size_t at) const { return slice(at, at <= size() ? size() - at : 0); }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  bool begins(std::string_view magic, std::size_t at = 0) const {
    return has(at, magic.size()) && text().substr(at, magic.size()) == magic;
  }
  std::span<const std::byte> span() const { return bytes_; }

  std::uint32_t u8(std::size_t at) const {
    need(at, 1);
    return std::to_integer<std::uint32_t>(bytes_[at]);
  }
  std::uint32_t u16(std::size_t at) const { return std::uint32_t(number(at, 2)); }
  std::uint32_t u24(std::size_t at) const { return std::uint32_t(number(at, 3)); }
  std::uint32_t u32(std::size_t at) const { return std::uint32_t(number(at, 4)); }
  std::uint64_t u64(std::size_t at) const { return number(at, 8); }

 private:
  void need(std::size_t at, std::size_t count) const {
    if (!has(at, count)) {
      fail<MediaError>("is truncated: ", count, " bytes wanted at offset ", at, ", ", size(),
                       " bytes there");
    }
  }
  std::uint64_t number(std::size_t at, std::size_t count) const {
    need(at, count);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; i++) {
      const std::size_t from = little_ ? at + count - 1 - i : at + i;
      value = value << 8 | std::to_integer<std::uint64_t>(bytes_[from]);
    }
    return value;
  }

  std::span<const std::byte> bytes_;
  bool little_;
};

}  // namespace chiasm::vision
