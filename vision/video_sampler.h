#pragma once
/// Which frames of a video a model sees, by its settings and by what a user asks for.
#include <cstdint>
#include <vector>

#include "core/json.h"
#include "vision/frame_sampling.h"

namespace chiasm::vision {

/// What a video may cost; each is checked before anything of that size is made.
struct VideoLimits {
  std::int64_t max_bytes = std::int64_t(8) << 30;  // of a file
  double max_seconds = 4 * 3600;
  std::int64_t max_frames = 10'000'000;   // that it has
  std::int64_t max_taken = 1024;          // that a model sees
  std::int64_t max_pixels = 8192 * 8192;  // of one frame
};

/// What a user asks for; where nothing is asked, the model's settings hold. Of `frames` and `fps`
/// only SmolVLM's way knows both at once.
struct FrameChoice {
  std::int64_t frames = 0;  // so many; for SmolVLM at most
  double fps = 0;           // so many for each second of the video
  bool all = false;         // every one
};

/// A video and which of its frames are taken.
struct TakenFrames {
  VideoInfo video;
  std::int64_t width = 0, height = 0;  // of a frame, pixels
  std::vector<std::int64_t> indices;   // ascending

  std::int64_t count() const { return std::int64_t(indices.size()); }
  /// Frames a second of the video; 24 where it does not say, as transformers assumes.
  double fps() const { return video.fps > 0 ? video.fps : 24; }
  /// Frames a second of those that are taken.
  double taken_fps() const { return double(count()) / double(video.frames) * fps(); }
};

class VideoSampler {
 public:
  VideoSampler() = default;
  VideoSampler(FrameSampling way, const SamplingRule& rule) : way_(way), rule_(rule) {}
  /// From a video processor's settings: "num_frames" and "fps", or SmolVLM's "video_sampling".
  /// ModelError for numbers out of range.
  static VideoSampler read(const Json& config, FrameSampling way);

  /// The frames to take, ascending. A video without a frame rate is a list of pictures, of which
  /// all are taken where the user asks for nothing. Where settings and user name no number, 2
  /// frames a second (Qwen), at most 32 (`uniform`) or at most 8 (InternVL) are taken, whatever
  /// "do_sample_frames" says: transformers would take a file's every frame.
  /// RequestError for a choice that contradicts itself, MediaError for a video too short for it.
  std::vector<std::int64_t> take(const VideoInfo& video, const FrameChoice& choice) const;

 private:
  SamplingRule usual(const VideoInfo& video) const;

  FrameSampling way_ = FrameSampling::uniform;
  SamplingRule rule_;
};

}  // namespace chiasm::vision
