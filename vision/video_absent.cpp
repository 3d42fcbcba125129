// Of builds without FFmpeg: no video file can be read.
#include "core/error.h"
#include "vision/video_file.h"

namespace chiasm::vision {

namespace {

[[noreturn]] void absent() {
  fail<DeviceError>(
      "this build of Chiasm reads no video files: it was made without FFmpeg's headers; install "
      "libavformat-dev, libavcodec-dev and libswscale-dev (or run scripts/setup.sh) and build "
      "again, or give the frames as pictures");
}

}  // namespace

struct VideoFile::Impl {};

VideoFile::VideoFile(const std::filesystem::path&, const VideoLimits&) { absent(); }
// The signature of builds with FFmpeg, which keep the bytes.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
VideoFile::VideoFile(std::shared_ptr<const std::string>, const VideoLimits&) { absent(); }
VideoFile::~VideoFile() = default;
VideoFile::VideoFile(VideoFile&&) noexcept = default;
VideoFile& VideoFile::operator=(VideoFile&&) noexcept = default;
const VideoInfo& VideoFile::info() const { absent(); }
std::int64_t VideoFile::width() const { absent(); }
std::int64_t VideoFile::height() const { absent(); }
ContentHash VideoFile::content() { absent(); }
std::int64_t VideoFile::decoder_bytes() const { absent(); }
void VideoFile::read(std::span<const std::int64_t>, const std::function<void()>&,
                     const std::function<void(const Image&)>&) {
  absent();
}

std::string video_decoder() { return "none: built without FFmpeg's headers"; }

}  // namespace chiasm::vision
