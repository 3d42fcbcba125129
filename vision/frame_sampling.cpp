#include "vision/frame_sampling.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace chiasm::vision {

namespace {

/// numpy's linspace: `count` values from `begin` to `end`, both included.
std::vector<double> linspace(double begin, double end, std::int64_t count) {
  std::vector<double> out(std::size_t(count), begin);
  const double step = (end - begin) / double(count - 1);
  for (std::int64_t i = 1; i < count; i++) out[std::size_t(i)] = double(i) * step + begin;
  if (count > 1) out.back() = end;
  return out;
}

/// torch.arange(begin, end, step).int(): float32 values, cut off. Where rounding makes one more, at
/// `end`, the reference takes a frame that is not there and fails; here it is left out.
std::vector<std::int64_t> arange(double begin, std::int64_t end, double step) {
  const auto count = std::int64_t(std::ceil((double(end) - begin) / step));
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < count; i++) {
    const auto frame = std::int64_t(float(begin + step * double(i)));
    if (frame < end) out.push_back(frame);
  }
  return out;
}

/// As many frames as `fps` a second give, in double.
double wanted(const VideoInfo& video, double fps) {
  if (!(video.fps > 0)) fail<MediaError>("a video without a frame rate cannot be sampled by fps");
  return double(video.frames) / video.fps * fps;
}

void check_enough(const VideoInfo& video, std::int64_t frames) {
  if (frames < 1 || frames > video.frames) {
    fail<MediaError>("cannot take ", frames, " frames of a video of ", video.frames);
  }
}

std::vector<std::int64_t> uniform(const VideoInfo& video, const SamplingRule& rule) {
  const std::int64_t frames =
      rule.frames > 0 ? rule.frames
                      : std::max<std::int64_t>(1, std::int64_t(wanted(video, rule.fps)));
  check_enough(video, frames);
  std::vector<std::int64_t> out(static_cast<std::size_t>(frames));
  for (std::int64_t i = 0; i < frames; i++) out[std::size_t(i)] = i * video.frames / frames;
  return out;
}

/// From the middle of the first of equal parts.
std::vector<std::int64_t> internvl(const VideoInfo& video, const SamplingRule& rule) {
  const std::int64_t frames = rule.frames > 0 ? rule.frames : std::int64_t(wanted(video, rule.fps));
  check_enough(video, frames);
  const double part = double(video.frames) / double(frames);
  return arange(part / 2, video.frames, part);
}

std::vector<std::int64_t> qwen2_vl(const VideoInfo& video, const SamplingRule& rule) {
  std::int64_t frames = 0;
  if (rule.frames > 0) {
    frames =
        std::int64_t(std::nearbyint(double(rule.frames) / double(rule.together))) * rule.together;
  } else {
    const std::int64_t most = std::min(rule.most, video.frames) / rule.together * rule.together;
    const double near = std::min({std::max(wanted(video, rule.fps), double(rule.least)),
                                  double(most), double(video.frames)});
    frames = std::int64_t(std::floor(near / double(rule.together))) * rule.together;
  }
  check_enough(video, frames);
  return arange(0, video.frames, double(video.frames) / double(frames));
}

std::vector<std::int64_t> qwen3_vl(const VideoInfo& video, const SamplingRule& rule) {
  const std::int64_t frames =
      rule.frames > 0 ? rule.frames
                      : std::min({std::max(std::int64_t(wanted(video, rule.fps)), rule.least),
                                  rule.most, video.frames});
  if (video.frames < 1) check_enough(video, frames);
  std::vector<std::int64_t> out;
  for (const double at : linspace(0, double(video.frames - 1), frames)) {
    out.push_back(std::int64_t(std::nearbyint(at)));
  }
  return out;
}

std::vector<std::int64_t> smolvlm(const VideoInfo& video, const SamplingRule& rule) {
  if (!(video.fps > 0)) fail<MediaError>("a video without a frame rate cannot be sampled by fps");
  check_enough(video, 1);
  const auto by_time = std::int64_t(std::nearbyint(rule.fps * video.seconds));
  const std::int64_t frames = std::max<std::int64_t>(std::min(by_time, rule.frames), 1);
  const std::int64_t last = video.frames - 1;
  std::int64_t begin = 0, end = last;
  if (rule.skipped > 0 && video.seconds - 2 * rule.skipped > double(rule.frames) * rule.fps) {
    begin = std::max<std::int64_t>(std::int64_t(rule.skipped * video.fps), 0);
    end = std::min(std::int64_t(double(video.frames) - rule.skipped * video.fps), last);
  }
  if (begin >= end) {
    begin = 0;
    end = last;
  }
  std::vector<std::int64_t> out;
  for (const double at : linspace(double(begin), double(end), frames)) {
    out.push_back(std::int64_t(std::floor(at)));
  }
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

std::vector<std::int64_t> sample_frames(FrameSampling way, const VideoInfo& video,
                                        const SamplingRule& rule) {
  if (rule.frames < 1 && !(rule.fps > 0)) {
    fail<ModelError>("frames of a video: neither their number nor a rate is given");
  }
  switch (way) {
    case FrameSampling::uniform:
      return uniform(video, rule);
    case FrameSampling::internvl:
      return internvl(video, rule);
    case FrameSampling::qwen2_vl:
      return qwen2_vl(video, rule);
    case FrameSampling::qwen3_vl:
      return qwen3_vl(video, rule);
    case FrameSampling::smolvlm:
      return smolvlm(video, rule);
  }
  fail<ModelError>("frames of a video: unknown way to sample");
}

std::vector<double> group_seconds(std::span<const std::int64_t> frames, double fps,
                                  std::int64_t together) {
  std::vector<double> out;
  const auto count = std::int64_t(frames.size());
  for (std::int64_t i = 0; i < count; i += together) {
    const std::int64_t last = std::min(i + together, count) - 1;
    out.push_back((double(frames[std::size_t(i)]) / fps + double(frames[std::size_t(last)]) / fps) /
                  2);
  }
  return out;
}

}  // namespace chiasm::vision
