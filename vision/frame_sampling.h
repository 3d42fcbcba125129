#pragma once
/// Which frames of a video a model sees.
/// Source: transformers 5.23, the `sample_frames` of each video processor.
#include <cstdint>
#include <span>
#include <vector>

namespace chiasm::vision {

/// What is known of a video before its frames are read.
struct VideoInfo {
  std::int64_t frames = 0;
  double fps = 0;
  double seconds = 0;
};

/// Whose way of sampling. `uniform` is that of processors without their own, LLaVA-OneVision's too.
enum class FrameSampling { uniform, internvl, qwen2_vl, qwen3_vl, smolvlm };

/// How many frames to take. Those that a way does not know are ignored.
struct SamplingRule {
  std::int64_t frames = 0;             // wanted, for smolvlm at most; 0: by fps
  double fps = 0;                      // wanted frames a second; 0: by frames
  std::int64_t least = 4, most = 768;  // qwen2_vl, qwen3_vl, when by fps
  std::int64_t together = 2;           // qwen2_vl: frames of a patch
  double skipped = 1;                  // smolvlm: seconds left out at both ends of a long video
};

/// The frames to take, ascending. MediaError when the video is too short for the rule or says no
/// frame rate where one is needed, ModelError for a rule that names neither frames nor fps.
std::vector<std::int64_t> sample_frames(FrameSampling way, const VideoInfo& video,
                                        const SamplingRule& rule);

/// The time of each group of `together` frames, seconds: midway between its first and last, the
/// last frame standing for those that the last group lacks. Qwen3-VL writes it into the prompt.
std::vector<double> group_seconds(std::span<const std::int64_t> frames, double fps,
                                  std::int64_t together);

}  // namespace chiasm::vision
