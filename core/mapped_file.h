#pragma once
/// A file's bytes without a copy.
#include <cstddef>
#include <filesystem>
#include <span>

namespace chiasm {

/// A read-only memory map of a whole file. Move-only.
class MappedFile {
 public:
  MappedFile() = default;
  /// Throws ModelError when the file cannot be opened or mapped.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Lets the kernel drop the pages that lie wholly inside [offset, offset + count): after packing,
  /// the file's copy of a weight need not stay in memory. Never changes what the bytes are.
  void release(std::size_t offset, std::size_t count) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace chiasm
