#pragma once
#include <cstdint>

namespace chiasm::device {

/// Scratch memory in pieces, each aligned to 256 bytes.
class Pieces {
 public:
  /// Where the next piece begins, as an offset.
  std::uint64_t take(std::uint64_t bytes) {
    const std::uint64_t at = bytes_;
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  static constexpr std::uint64_t kAlignment = 256;
  std::uint64_t bytes_ = 0;
};

}  // namespace chiasm::device
