#include <mpg123.h>

#include "audio/codec/codec.h"
#include "core/error.h"

namespace chiasm::audio {

namespace {

ssize_t read_memory(void* user, void* to, std::size_t count) {
  return static_cast<MemoryFile*>(user)->read(to, std::int64_t(count));
}

off_t seek_memory(void* user, off_t offset, int whence) {
  return static_cast<MemoryFile*>(user)->seek(offset, whence);
}

class Mp3Reader : public SoundReader {
 public:
  explicit Mp3Reader(std::span<const std::byte> bytes) : memory_{bytes} {
    handle_.reset(mpg123_new(nullptr, nullptr));
    if (handle_ == nullptr) fail<MediaError>("MP3: not enough memory for a decoder");
    mpg123_handle* const h = handle_.get();
    // One stream of one format, as floats, without the silence that encoders add, without a word.
    const long flags = MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_GAPLESS | MPG123_NO_FRANKENSTEIN;
    check(mpg123_param(h, MPG123_ADD_FLAGS, flags, 0));
    check(mpg123_replace_reader_handle(h, read_memory, seek_memory, nullptr));
    check(mpg123_open_handle(h, &memory_));
    long rate = 0;
    int channels = 0, encoding = 0;
    check(mpg123_getformat(h, &rate, &channels, &encoding));
    info_ = {SoundFormat::mp3, mpg123_length(h), rate, channels};
    if (info_.frames < 0) fail<MediaError>("MP3: its length cannot be told");
  }

  std::int64_t read(float* samples, std::int64_t frames) override {
    const auto frame = sizeof(float) * std::size_t(info_.channels);
    std::size_t bytes = 0;
    const int result = mpg123_read(handle_.get(), samples, std::size_t(frames) * frame, &bytes);
    if (result == MPG123_NEW_FORMAT) {
      fail<MediaError>("MP3 data changes its sample rate or channels on the way");
    }
    // At an error, too, what came before it counts; the next call finds the error alone.
    if (bytes == 0 && result != MPG123_DONE) check(result);
    return std::int64_t(bytes / frame);
  }

 private:
  struct Delete {
    void operator()(mpg123_handle* h) const { mpg123_delete(h); }
  };
  void check(int result) {
    if (result == MPG123_OK) return;
    const char* reason =
        result == MPG123_ERR ? mpg123_strerror(handle_.get()) : mpg123_plain_strerror(result);
    fail<MediaError>("MP3 data is damaged: ", reason);
  }

  MemoryFile memory_;
  std::unique_ptr<mpg123_handle, Delete> handle_;
};

}  // namespace

std::unique_ptr<SoundReader> open_mp3(std::span<const std::byte> bytes) {
  return std::make_unique<Mp3Reader>(bytes);
}

}  // namespace chiasm::audio
