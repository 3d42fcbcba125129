#include "vision/codec/media_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "core/error.h"

namespace chiasm::vision {

MediaSource::MediaSource(const std::filesystem::path& path, std::int64_t max_bytes) {
  // Without O_NONBLOCK a pipe would wait for a writer.
  file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) fail<MediaError>("cannot be opened: ", std::strerror(errno));
  struct stat about {};
  const bool regular = fstat(file_, &about) == 0 && S_ISREG(about.st_mode);
  if (!regular) {
    ::close(file_);
    fail<MediaError>("is no regular file");
  }
  size_ = about.st_size;
  if (size_ > max_bytes) ::close(file_);
  check_size(max_bytes);
}

MediaSource::MediaSource(std::shared_ptr<const std::string> bytes, std::int64_t max_bytes)
    : bytes_(std::move(bytes)), size_(std::int64_t(bytes_->size())) {
  check_size(max_bytes);
}

MediaSource::~MediaSource() {
  if (file_ >= 0) ::close(file_);
}

MediaSource::MediaSource(MediaSource&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      bytes_(std::move(other.bytes_)),
      size_(other.size_),
      at_(other.at_) {}

void MediaSource::check_size(std::int64_t max_bytes) const {
  if (size_ == 0) fail<MediaError>("is empty");
  if (size_ > max_bytes) {
    fail<MediaError>("has ", size_, " bytes, over the limit of ", max_bytes);
  }
}

std::int64_t MediaSource::read(std::span<std::byte> to) {
  const std::int64_t count = std::min(std::int64_t(to.size()), size_ - at_);
  if (count <= 0) return 0;
  if (bytes_ != nullptr) {
    std::memcpy(to.data(), bytes_->data() + at_, std::size_t(count));
    at_ += count;
    return count;
  }
  for (;;) {
    const ssize_t got = ::pread(file_, to.data(), std::size_t(count), at_);
    if (got >= 0) {
      at_ += got;
      return got;
    }
    if (errno != EINTR) fail<MediaError>("cannot be read: ", std::strerror(errno));
  }
}

bool MediaSource::seek(std::int64_t to) {
  if (to < 0 || to > size_) return false;
  at_ = to;
  return true;
}

/// Of the hashes of its parts, so that it takes one part of memory.
ContentHash MediaSource::hash() {
  constexpr std::size_t kPart = std::size_t(1) << 20;
  const std::int64_t place = std::exchange(at_, 0);
  std::vector<std::byte> part(kPart);
  std::vector<std::uint64_t> parts{std::uint64_t(size_)};
  for (;;) {
    std::size_t filled = 0;
    while (filled < kPart) {
      const std::int64_t got = read(std::span(part).subspan(filled));
      if (got == 0) break;
      filled += std::size_t(got);
    }
    if (filled == 0) break;
    const ContentHash one = content_hash(std::span(part).first(filled), 6);
    parts.insert(parts.end(), {one.high, one.low});
  }
  at_ = place;
  return content_hash(std::as_bytes(std::span(parts)), 7);
}

}  // namespace chiasm::vision
