#include "vision/video_file.h"

#include <string>
#include <utility>

#include "core/error.h"
#include "vision/codec/video_container.h"
#include "vision/codec/video_decoder.h"

namespace chiasm::vision {

namespace {

std::string version(const char* name, unsigned number) {
  return std::string(name) + " " + std::to_string(AV_VERSION_MAJOR(number)) + "." +
         std::to_string(AV_VERSION_MINOR(number)) + "." + std::to_string(AV_VERSION_MICRO(number));
}

}  // namespace

struct VideoFile::Impl {
  VideoContainer container;
  VideoDecoder decoder;
  bool sideways;

  Impl(MediaSource source, const VideoLimits& limits)
      : container(std::move(source), limits),
        decoder(container, limits),
        sideways(container.rotation() % 180 != 0) {}
};

VideoFile::VideoFile(const std::filesystem::path& path, const VideoLimits& limits)
    : impl_(std::make_unique<Impl>(MediaSource(path, limits.max_bytes), limits)) {}

VideoFile::VideoFile(std::shared_ptr<const std::string> bytes, const VideoLimits& limits)
    : impl_(std::make_unique<Impl>(MediaSource(std::move(bytes), limits.max_bytes), limits)) {}

VideoFile::~VideoFile() = default;
VideoFile::VideoFile(VideoFile&&) noexcept = default;
VideoFile& VideoFile::operator=(VideoFile&&) noexcept = default;

const VideoInfo& VideoFile::info() const { return impl_->container.info(); }

std::int64_t VideoFile::width() const {
  const AVCodecParameters& p = *impl_->container.stream().codecpar;
  return impl_->sideways ? p.height : p.width;
}

std::int64_t VideoFile::height() const {
  const AVCodecParameters& p = *impl_->container.stream().codecpar;
  return impl_->sideways ? p.width : p.height;
}

ContentHash VideoFile::content() { return impl_->container.source().hash(); }

/// 16 frames are the most that H.264 and HEVC refer to; one more is worked on and one is shown. A
/// pixel takes 1.5 bytes in the usual format and 6 in the largest; 3 are between them.
std::int64_t VideoFile::decoder_bytes() const { return 18 * 3 * width() * height(); }

void VideoFile::read(std::span<const std::int64_t> frames, const std::function<void()>& poll,
                     const std::function<void(const Image&)>& use) {
  for (const std::int64_t index : frames) {
    if (index < 0 || index >= info().frames) {
      fail<MediaError>("has ", info().frames, " frames, number ", index, " is asked for");
    }
    use(impl_->decoder.frame(index, poll));
  }
}

std::string video_decoder() {
  try {
    const Ffmpeg& f = ffmpeg();
    return version("libavformat", f.avformat_version()) + ", " +
           version("libavcodec", f.avcodec_version()) + ", " +
           version("libswscale", f.swscale_version());
  } catch (const DeviceError& e) {
    return std::string("none: ") + e.what();
  }
}

}  // namespace chiasm::vision
