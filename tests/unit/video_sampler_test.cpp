/// Which frames settings and users ask for, and the words around them.
#include "vision/video_sampler.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "runtime/smolvlm.h"
#include "tests/support/expect_error.h"
#include "tests/support/processor_golden.h"

namespace chiasm {
namespace {

using testing::settings;
using testing::throws;
using vision::FrameChoice;
using vision::FrameSampling;
using vision::VideoInfo;
using vision::VideoSampler;

constexpr VideoInfo kMinute{1800, 30, 60};

std::size_t count(const char* config, FrameSampling way, const VideoInfo& video,
                  const FrameChoice& choice = {}) {
  return VideoSampler::read(settings(config), way).take(video, choice).size();
}

TEST(VideoSampler, FollowsTheSettingsAndTheirAbsence) {
  EXPECT_EQ(count("{}", FrameSampling::qwen2_vl, kMinute), 120u);
  EXPECT_EQ(count("{}", FrameSampling::qwen3_vl, kMinute), 120u);
  EXPECT_EQ(count(R"({"fps": 1})", FrameSampling::qwen2_vl, kMinute), 60u);
  EXPECT_EQ(count(R"({"num_frames": 10})", FrameSampling::qwen2_vl, kMinute), 10u);
  EXPECT_EQ(count("{}", FrameSampling::uniform, kMinute), 32u);
  EXPECT_EQ(count("{}", FrameSampling::uniform, {5, 30, 5 / 30.0}), 5u);
  EXPECT_EQ(count("{}", FrameSampling::internvl, kMinute), 8u);
  EXPECT_EQ(count("{}", FrameSampling::smolvlm, kMinute), 60u);
  EXPECT_EQ(
      count(R"({"video_sampling": {"max_frames": 7, "fps": 1}})", FrameSampling::smolvlm, kMinute),
      7u);
}

TEST(VideoSampler, LetsTheUserChoose) {
  const auto qwen = FrameSampling::qwen2_vl;
  EXPECT_EQ(count(R"({"fps": 1})", qwen, kMinute, {.frames = 6}), 6u);
  EXPECT_EQ(count(R"({"num_frames": 6})", qwen, kMinute, {.fps = 0.5}), 30u);
  EXPECT_EQ(count("{}", qwen, kMinute, {.all = true}), 1800u);
  EXPECT_EQ(count("{}", qwen, {9, 0, 0}), 9u);  // a list of pictures
  EXPECT_EQ(count("{}", FrameSampling::smolvlm, kMinute, {.frames = 10}), 10u);
  EXPECT_EQ(count("{}", FrameSampling::smolvlm, kMinute, {.fps = 0.25}), 15u);
}

TEST(VideoSampler, RefusesWhatContradictsItself) {
  const auto asking = [](const FrameChoice& choice, FrameSampling way = FrameSampling::qwen2_vl) {
    return [choice, way] { (void)VideoSampler::read(settings("{}"), way).take(kMinute, choice); };
  };
  EXPECT_TRUE(throws<RequestError>(asking({.frames = 4, .fps = 1}), {"not both"}));
  EXPECT_TRUE(throws<RequestError>(asking({.frames = 4, .all = true}), {"not both"}));
  EXPECT_TRUE(throws<RequestError>(asking({.frames = -1}), {"num_frames"}));
  EXPECT_TRUE(throws<RequestError>(asking({.fps = -1}), {"fps"}));
  EXPECT_TRUE(throws<MediaError>(asking({.frames = 2000}), {"2000 frames", "1800"}));
  EXPECT_TRUE(throws<ModelError>(
      [] { (void)VideoSampler::read(settings(R"({"fps": -2})"), FrameSampling::uniform); },
      {"fps"}));
}

TEST(SmolVlmVideo, SaysNumbersAsNum2wordsDoes) {
  const std::pair<std::int64_t, const char*> kWords[] = {
      {0, "zero"},
      {19, "nineteen"},
      {20, "twenty"},
      {21, "twenty-one"},
      {100, "one hundred"},
      {101, "one hundred and one"},
      {123, "one hundred and twenty-three"},
      {999, "nine hundred and ninety-nine"},
      {1000, "one thousand"},
      {1001, "one thousand and one"},
      {1110, "one thousand, one hundred and ten"},
      {120345, "one hundred and twenty thousand, three hundred and forty-five"}};
  for (const auto& [number, words] : kWords) EXPECT_EQ(number_words(number), words);
}

TEST(SmolVlmVideo, TellsTimesAsPythonDoes) {
  const vision::TakenFrames video{{2250, 30, 75}, 64, 48, {0, 1830}};
  EXPECT_EQ(smolvlm_video_text(video, "[F]"),
            "You are provided the following series of two frames from a 0:01:15 [H:MM:SS] video.\n"
            "\nFrame from 00:00:[F]\nFrame from 01:01:[F]\n\n");
  const vision::TakenFrames day{{10, 1e-4, 90061}, 64, 48, {9}};
  EXPECT_NE(smolvlm_video_text(day, "").find("1 day, 1:01:01"), std::string::npos);
}

}  // namespace
}  // namespace chiasm
