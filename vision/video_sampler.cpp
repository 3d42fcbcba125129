#include "vision/video_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "vision/processor_settings.h"

namespace chiasm::vision {

namespace {

constexpr std::int64_t kMostFrames = 1 << 20;

std::vector<std::int64_t> every_frame(const VideoInfo& video) {
  if (video.frames < 1) fail<MediaError>("a video without frames");
  std::vector<std::int64_t> out(static_cast<std::size_t>(video.frames));
  std::iota(out.begin(), out.end(), std::int64_t(0));
  return out;
}

void check(const FrameChoice& choice, FrameSampling way) {
  if (choice.frames < 0 || choice.frames > kMostFrames) {
    fail<RequestError>("num_frames is ", choice.frames, ", expected 1 to ", kMostFrames);
  }
  if (!(choice.fps >= 0 && std::isfinite(choice.fps))) {
    fail<RequestError>("fps is ", choice.fps, ", expected a finite number over 0");
  }
  const int said = (choice.frames > 0 ? 1 : 0) + (choice.fps > 0 ? 1 : 0);
  if (choice.all && said > 0) fail<RequestError>("all frames, or num_frames and fps: not both");
  if (said == 2 && way != FrameSampling::smolvlm) {
    fail<RequestError>("num_frames and fps: this model takes one of them, not both");
  }
}

}  // namespace

VideoSampler VideoSampler::read(const Json& config, FrameSampling way) {
  SamplingRule rule;
  rule.frames = bounded(config, "num_frames", 0, 1, kMostFrames);
  rule.fps = config.number("fps", 0);
  if (config.has("video_sampling")) {
    rule.frames = bounded(config["video_sampling"], "max_frames", 64, 1, kMostFrames);
    rule.fps = config["video_sampling"].number("fps", 1);
  }
  if (!(rule.fps >= 0 && std::isfinite(rule.fps))) {
    fail<ModelError>(config.where(), ": fps is ", rule.fps, ", expected a finite number over 0");
  }
  return {way, rule};
}

/// The rule where the user asks for nothing.
SamplingRule VideoSampler::usual(const VideoInfo& video) const {
  SamplingRule rule = rule_;
  switch (way_) {
    case FrameSampling::uniform:
    case FrameSampling::internvl:
      if (rule.frames == 0 && rule.fps == 0) {
        const std::int64_t most = way_ == FrameSampling::uniform ? 32 : 8;
        rule.frames = std::min(most, std::max<std::int64_t>(video.frames, 1));
      }
      break;
    case FrameSampling::qwen2_vl:
    case FrameSampling::qwen3_vl:
      if (rule.frames == 0 && rule.fps == 0) rule.fps = 2;
      break;
    case FrameSampling::smolvlm:
      if (rule.frames == 0) rule.frames = 64;
      if (rule.fps == 0) rule.fps = 1;
      break;
  }
  return rule;
}

std::vector<std::int64_t> VideoSampler::take(const VideoInfo& video,
                                             const FrameChoice& choice) const {
  check(choice, way_);
  if (choice.all) return every_frame(video);
  SamplingRule rule = usual(video);
  if (choice.frames > 0 || choice.fps > 0) {
    const bool both = way_ == FrameSampling::smolvlm;
    rule.frames = choice.frames > 0 || !both ? choice.frames : rule.frames;
    rule.fps = choice.fps > 0 || !both ? choice.fps : rule.fps;
  } else if (!(video.fps > 0)) {
    return every_frame(video);
  }
  return sample_frames(way_, video, rule);
}

}  // namespace chiasm::vision
