#pragma once
/// Decoded frames of a container, and their pixels.
#include <cstdint>
#include <functional>

#include "vision/codec/video_container.h"
#include "vision/image.h"

namespace chiasm::vision {

/// Move-only.
class VideoDecoder {
 public:
  explicit VideoDecoder(VideoContainer& container, const VideoLimits& limits);

  /// Frame `index` of the container's index, as upright RGB. Ascending indices are cheapest: what
  /// lies between two of them is decoded only where no key frame allows to jump over it.
  /// Where the data end one or two frames early, as those of cut MPEG streams do, the last one
  /// there stands for them. MediaError where they are damaged or end earlier.
  Image frame(std::int64_t index, const std::function<void()>& poll);

 private:
  void jump(std::int64_t key);
  bool decode_until(std::int64_t index, bool from_start, const std::function<void()>& poll);
  bool receive();
  void feed();
  Image rgb();

  VideoContainer& container_;
  FfmpegPtr<AVCodecContext> codec_;
  FfmpegPtr<AVPacket> packet_;
  FfmpegPtr<AVFrame> frame_, before_;  // decoded last, and before it
  FfmpegPtr<SwsContext> scaler_;
  int scaler_width_ = 0, scaler_height_ = 0, scaler_format_ = -1, scaler_colours_ = -1;
  int rotation_ = 0;
  std::int64_t last_ = -1;  // index of the frame decoded last; -1: none
  bool drained_ = false;    // the codec has all packets
};

}  // namespace chiasm::vision
