#pragma once
/// A container's video stream: its packets, and the index of its frames made from them.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vision/codec/ffmpeg.h"
#include "vision/codec/media_source.h"
#include "vision/frame_sampling.h"
#include "vision/video_sampler.h"

namespace chiasm::vision {

/// A frame by its packet. Times are in the stream's units.
struct IndexedFrame {
  std::int64_t time = 0;
  bool key = false;  // decoding can begin here
};

/// Move-only. Nothing but the source's bytes is ever opened.
class VideoContainer {
 public:
  /// Opens the container and reads all packets' headers. MediaError, DeviceError.
  VideoContainer(MediaSource source, const VideoLimits& limits);

  const AVStream& stream() const { return *stream_; }
  const AVCodec& codec() const { return *codec_; }
  const VideoInfo& info() const { return info_; }
  MediaSource& source() { return *source_; }
  std::span<const IndexedFrame> frames() const { return frames_; }  // in order of time
  /// Degrees by which frames are to be turned clockwise: 0, 90, 180 or 270.
  int rotation() const;

  /// The next packet of the stream; false at the end of the data.
  bool next(AVPacket& packet);
  /// Goes on with the last key frame up to `time`. MediaError.
  void go_to(std::int64_t time);
  void go_to_start();

 private:
  void open();
  void choose_stream(const VideoLimits& limits);
  void index(const VideoLimits& limits);

  std::unique_ptr<MediaSource> source_;  // the callbacks know its address
  FfmpegPtr<AVIOContext> io_;
  FfmpegPtr<AVFormatContext> format_;  // closed before its bytes
  AVStream* stream_ = nullptr;
  const AVCodec* codec_ = nullptr;
  std::vector<IndexedFrame> frames_;
  VideoInfo info_;
};

/// Codecs that files may use: those in wide use, out of some hundreds that FFmpeg has.
extern const char* const kVideoCodecs;

}  // namespace chiasm::vision
