#pragma once
/// Video files: the frames that are wanted, one at a time, by FFmpeg's libraries.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/hash.h"
#include "vision/frame_sampling.h"
#include "vision/image.h"
#include "vision/video_sampler.h"

namespace chiasm::vision {

/// An open file. What it says of itself is not believed: frames and times are counted from its
/// packets, as transformers' decoder (torchcodec, exact mode) counts them. The file is read piece
/// by piece and never held in memory; no other file is opened, whatever it says, and nothing but
/// known containers and codecs is given to the decoder.
/// To be used by one thread at a time.
class VideoFile {
 public:
  /// Reads all packets' headers. MediaError for what is no video, is damaged before its first frame
  /// or over a limit; DeviceError where this build or this machine has no FFmpeg.
  VideoFile(const std::filesystem::path& path, const VideoLimits& limits);
  /// The same for a file's content.
  VideoFile(std::shared_ptr<const std::string> bytes, const VideoLimits& limits);
  ~VideoFile();
  VideoFile(VideoFile&&) noexcept;
  VideoFile& operator=(VideoFile&&) noexcept;

  const VideoInfo& info() const;
  std::int64_t width() const;  // of an upright frame, pixels
  std::int64_t height() const;
  /// Of the file's content, which is read for it.
  ContentHash content();
  /// What the decoder holds while it works, an estimate: the frames that others refer to.
  std::int64_t decoder_bytes() const;

  /// Calls use(frame) for each of `frames` (ascending), upright RGB; jumps over what lies between.
  /// `poll` is called between packets and may throw. MediaError where the file is damaged or ends
  /// early.
  void read(std::span<const std::int64_t> frames, const std::function<void()>& poll,
            const std::function<void(const Image&)>& use);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The versions of FFmpeg's libraries in use ("libavformat 59.27.100, ..."), or why there are none.
std::string video_decoder();

}  // namespace chiasm::vision
