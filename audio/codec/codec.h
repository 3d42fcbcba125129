#pragma once
/// Readers of the formats, one library each; `open_sound` chooses.
#include <cstdint>
#include <memory>
#include <span>

#include "audio/sound.h"

namespace chiasm::audio {

/// An open sound: its header is read, its samples come in order.
class SoundReader {
 public:
  virtual ~SoundReader() = default;
  const SoundInfo& info() const { return info_; }
  /// The next frames, their channels interleaved; how many there were, 0 at the end. MediaError for
  /// damaged data.
  virtual std::int64_t read(float* samples, std::int64_t frames) = 0;

 protected:
  SoundInfo info_;
};

/// `bytes` must outlive the reader. MediaError for what cannot be opened.
std::unique_ptr<SoundReader> open_sound(std::span<const std::byte> bytes);

/// WAV, FLAC and Ogg by libsndfile.
std::unique_ptr<SoundReader> open_sndfile(std::span<const std::byte> bytes, SoundFormat format);
/// MP3 by libmpg123 itself: libsndfile would have it write warnings to the standard error.
std::unique_ptr<SoundReader> open_mp3(std::span<const std::byte> bytes);

/// Bytes in memory as a file.
struct MemoryFile {
  std::span<const std::byte> bytes;
  std::int64_t at = 0;

  std::int64_t size() const { return std::int64_t(bytes.size()); }
  std::int64_t read(void* to, std::int64_t count);
  /// As lseek: the new place, or -1 and nothing moved.
  std::int64_t seek(std::int64_t offset, int whence);
};

}  // namespace chiasm::audio
