#include <sndfile.h>

#include <string>

#include "audio/codec/codec.h"
#include "core/error.h"

namespace chiasm::audio {

namespace {

MemoryFile& file_of(void* user) { return *static_cast<MemoryFile*>(user); }

SF_VIRTUAL_IO memory_io() {
  SF_VIRTUAL_IO io{};
  io.get_filelen = [](void* user) { return sf_count_t(file_of(user).size()); };
  io.seek = [](sf_count_t offset, int whence, void* user) {
    return sf_count_t(file_of(user).seek(offset, whence));
  };
  io.read = [](void* to, sf_count_t count, void* user) {
    return sf_count_t(file_of(user).read(to, count));
  };
  io.tell = [](void* user) { return sf_count_t(file_of(user).at); };
  return io;
}

class SndfileReader : public SoundReader {
 public:
  SndfileReader(std::span<const std::byte> bytes, SoundFormat format) : memory_{bytes} {
    SF_VIRTUAL_IO io = memory_io();
    SF_INFO raw{};
    file_.reset(sf_open_virtual(&io, SFM_READ, &raw, &memory_));
    if (file_ == nullptr) fail<MediaError>(name(format), ": ", reason(nullptr));
    info_ = {format, raw.frames, raw.samplerate, raw.channels};
  }

  std::int64_t read(float* samples, std::int64_t frames) override {
    const sf_count_t got = sf_readf_float(file_.get(), samples, frames);
    if (sf_error(file_.get()) != SF_ERR_NO_ERROR) {
      fail<MediaError>(name(info_.format), " data is damaged: ", reason(file_.get()));
    }
    return got;
  }

 private:
  struct Close {
    void operator()(SNDFILE* file) const { sf_close(file); }
  };
  /// libsndfile's words without their full stop.
  static std::string reason(SNDFILE* file) {
    std::string text = sf_strerror(file);
    while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
    return text;
  }

  MemoryFile memory_;
  std::unique_ptr<SNDFILE, Close> file_;
};

}  // namespace

std::unique_ptr<SoundReader> open_sndfile(std::span<const std::byte> bytes, SoundFormat format) {
  return std::make_unique<SndfileReader>(bytes, format);
}

}  // namespace chiasm::audio
