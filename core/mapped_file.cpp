#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace chiasm {

namespace {

/// Closes a descriptor when the constructor leaves, by error or not: a map outlives its descriptor.
struct Descriptor {
  int value;
  explicit Descriptor(const std::filesystem::path& path)
      : value(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

std::string reason() { return std::strerror(errno); }

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file(path);
  if (file.value < 0) fail<ModelError>(path.string(), ": cannot be opened: ", reason());
  struct stat info {};
  if (::fstat(file.value, &info) != 0) fail<ModelError>(path.string(), ": ", reason());
  // A pipe would block and a device has no length.
  if (!S_ISREG(info.st_mode)) fail<ModelError>(path.string(), ": is not a regular file");
  size_ = std::size_t(info.st_size);
  if (size_ == 0) return;  // mmap refuses an empty range
  void* start = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (start == MAP_FAILED) {
    fail<ModelError>(path.string(), ": cannot map ", size_, " bytes: ", reason());
  }
  data_ = static_cast<const std::byte*>(start);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::release(std::size_t offset, std::size_t count) const {
  if (offset >= size_) return;
  const auto page = std::size_t(::sysconf(_SC_PAGESIZE));
  const std::size_t end = count < size_ - offset ? offset + count : size_;
  const std::size_t first = (offset + page - 1) / page * page;
  // The file's last page holds nothing but its tail, so it may go as a whole.
  const std::size_t last = end == size_ ? (end + page - 1) / page * page : end / page * page;
  if (first >= last) return;
  // Only advice: where it is refused, the pages stay and nothing else changes.
  ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

}  // namespace chiasm
