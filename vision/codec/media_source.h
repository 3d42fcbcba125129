#pragma once
/// Where a container's bytes come from: a local file or memory.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "core/hash.h"

namespace chiasm::vision {

/// Regular files alone are opened: no pipes, devices or folders. Move-only.
class MediaSource {
 public:
  /// MediaError when it cannot be opened or is over `max_bytes`.
  MediaSource(const std::filesystem::path& path, std::int64_t max_bytes);
  MediaSource(std::shared_ptr<const std::string> bytes, std::int64_t max_bytes);
  ~MediaSource();
  MediaSource(MediaSource&& other) noexcept;
  MediaSource& operator=(MediaSource&&) = delete;

  std::int64_t size() const { return size_; }
  /// Reads from the current place on; how many bytes, 0 at the end. MediaError.
  std::int64_t read(std::span<std::byte> to);
  /// Goes to a place from the beginning; false outside the file.
  bool seek(std::int64_t to);
  /// Of all bytes; leaves the place as it was.
  ContentHash hash();

 private:
  void check_size(std::int64_t max_bytes) const;

  int file_ = -1;
  std::shared_ptr<const std::string> bytes_;
  std::int64_t size_ = 0, at_ = 0;
};

}  // namespace chiasm::vision
