#include <algorithm>
#include <cstdio>
#include <cstring>

#include "audio/codec/codec.h"

namespace chiasm::audio {

std::int64_t MemoryFile::read(void* to, std::int64_t count) {
  const std::int64_t n = std::clamp<std::int64_t>(count, 0, size() - at);
  if (n > 0) std::memcpy(to, bytes.data() + at, std::size_t(n));
  at += n;
  return n;
}

std::int64_t MemoryFile::seek(std::int64_t offset, int whence) {
  const std::int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? at : size();
  if (offset < -base || offset > size() - base) return -1;
  return at = base + offset;
}

}  // namespace chiasm::audio
