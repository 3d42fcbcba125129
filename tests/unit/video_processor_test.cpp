/// Videos: the very frames that transformers takes, and every float32 of them.
#include <gtest/gtest.h>

#include <map>

#include "tests/support/processor_golden.h"
#include "tests/support/temp_folder.h"
#include "vision/crop.h"
#include "vision/frame_sampling.h"
#include "vision/idefics3_processor.h"
#include "vision/internvl_processor.h"
#include "vision/plain_processor.h"
#include "vision/qwen_video_processor.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::crc;
using chiasm::testing::formula;
using chiasm::testing::settings;
using chiasm::testing::throws;
using chiasm::testing::vision_context;

const Json& golden() {
  static const Json loaded = Json::load(chiasm::testing::vision_folder() / "videos.json");
  return loaded;
}

const std::map<std::string, FrameSampling> kWays{{"uniform", FrameSampling::uniform},
                                                 {"internvl", FrameSampling::internvl},
                                                 {"qwen2_vl", FrameSampling::qwen2_vl},
                                                 {"qwen3_vl", FrameSampling::qwen3_vl},
                                                 {"smolvlm", FrameSampling::smolvlm}};

TEST(FrameSampling, TakesTheFramesThatTransformersTakes) {
  const Json ways = golden()["sampling"];
  ASSERT_EQ(ways.size(), kWays.size());
  for (std::size_t w = 0; w < ways.size(); w++) {
    const Json rows = ways[w]["rows"];
    ASSERT_GE(rows.size(), 200u);
    for (std::size_t i = 0; i < rows.size(); i++) {
      SCOPED_TRACE(ways[w]["way"].str() + rows[i].raw().dump());
      const Json r = rows[i][0];
      const VideoInfo video{r[0].integer(), r[1].number(), r[2].number()};
      const SamplingRule rule{.frames = r[3].integer(), .fps = r[4].number()};
      const auto sample = [&] {
        return sample_frames(kWays.at(ways[w]["way"].str()), video, rule);
      };
      if (rows[i][1].is_null()) {
        EXPECT_TRUE(throws<MediaError>(sample, {"frames"}));
        continue;
      }
      const auto frames = sample();
      const std::vector<std::int32_t> taken(frames.begin(), frames.end());
      const auto want = rows[i][1].integers();  // how many, CRC
      EXPECT_EQ(std::int64_t(taken.size()), want[0]);
      EXPECT_EQ(std::int64_t(crc(taken.data(), taken.size() * sizeof(std::int32_t))), want[1]);
    }
  }
}

/// tests/golden/video/sampling.json, made by another script from whole processors: videos of up to
/// 36000 frames.
TEST(FrameSampling, TakesTheFramesThatTheFamiliesTake) {
  const std::map<std::string, FrameSampling> families{{"qwen2_5_vl", FrameSampling::qwen2_vl},
                                                      {"qwen3_vl", FrameSampling::qwen3_vl},
                                                      {"llava_onevision", FrameSampling::uniform},
                                                      {"smolvlm", FrameSampling::smolvlm}};
  const Json rows =
      Json::load(chiasm::testing::vision_folder().parent_path() / "video/sampling.json");
  ASSERT_GE(rows.size(), 150u);
  for (std::size_t i = 0; i < rows.size(); i++) {
    SCOPED_TRACE(rows[i].raw().dump());
    const std::int64_t total = rows[i]["frames"].integer();
    const double fps = rows[i]["fps"].number();
    const SamplingRule rule{.frames = rows[i]["options"].integer("num_frames", 0),
                            .fps = rows[i]["options"].number("fps", 0)};
    const auto sample = [&] {
      return sample_frames(families.at(rows[i]["family"].str()), {total, fps, double(total) / fps},
                           rule);
    };
    if (!rows[i].has("count")) {
      EXPECT_TRUE(throws<MediaError>(sample, {"frames"}));
      continue;
    }
    const auto frames = sample();
    EXPECT_EQ(std::int64_t(frames.size()), rows[i]["count"].integer());
    std::int64_t sum = 0, weighted = 0;
    for (std::size_t k = 0; k < frames.size(); k++) {
      sum += frames[k];
      weighted += std::int64_t(k) * frames[k];
    }
    EXPECT_EQ(sum, rows[i]["sum"].integer());
    EXPECT_EQ(weighted, rows[i]["weighted_sum"].integer());
  }
}

TEST(FrameSampling, TellsTheTimes) {
  const Json cases = golden()["seconds"];
  ASSERT_GE(cases.size(), 3u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    const auto times = group_seconds(cases[i]["frames"].integers(), cases[i]["fps"].number(),
                                     cases[i]["together"].integer());
    ASSERT_EQ(times.size(), cases[i]["times"].size());
    for (std::size_t k = 0; k < times.size(); k++) {
      EXPECT_EQ(times[k], cases[i]["times"][k].number());
    }
  }
}

TEST(FrameSampling, RefusesWhatCannotBeSampled) {
  const VideoInfo video{10, 0, 0};
  for (const auto& named : kWays) {
    const FrameSampling way = named.second;
    EXPECT_TRUE(throws<ModelError>([&] { (void)sample_frames(way, video, {}); }, {"neither"}));
    EXPECT_TRUE(throws<MediaError>([&] { (void)sample_frames(way, video, {.fps = 1}); }, {"rate"}));
    const SamplingRule four{.frames = 4, .fps = way == FrameSampling::smolvlm ? 1.0 : 0.0};
    EXPECT_TRUE(throws<MediaError>(
        [&] {
          (void)sample_frames(way, {0, 24, 0}, four);
        },
        {"frames"}));
  }
}

/// The golden file's frames: parts of one picture, from top to bottom.
std::vector<Image> frames_of(const std::vector<std::int64_t>& size) {
  const Image whole = formula(size[0], size[1] * size[2]);
  std::vector<Image> frames;
  for (std::int64_t i = 0; i < size[2]; i++) {
    frames.push_back(crop(whole, {0, i * size[1], size[0], size[1]}));
  }
  return frames;
}

void expect_values(const std::vector<float>& got, const Json& want) {
  SCOPED_TRACE(want.raw().dump());
  const auto shape = want["shape"].integers();
  std::size_t count = 1;
  for (const std::int64_t d : shape) count *= std::size_t(d);
  ASSERT_EQ(got.size(), count);
  EXPECT_EQ(crc(got.data(), got.size() * sizeof(float)), want["crc"].integer());
}

TEST(QwenVideoProcessor, EqualsTransformers) {
  const Json cases = golden()["qwen"];
  ASSERT_GE(cases.size(), 6u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i]["name"].str() + cases[i]["config"].raw().dump());
    const auto kind =
        cases[i]["name"].str() == "qwen2_vl" ? QwenVideoKind::qwen2_vl : QwenVideoKind::qwen3_vl;
    const QwenVideoProcessor process(cases[i]["config"], kind);
    const Json layouts = cases[i]["layouts"];
    for (std::size_t k = 0; k < layouts.size(); k++) {
      SCOPED_TRACE(layouts[k].raw().dump());
      const auto s = layouts[k][0].integers();  // width, height, frames
      if (layouts[k][1].is_null()) {
        EXPECT_TRUE(throws<MediaError>([&] { (void)process.layout(s[2], s[0], s[1]); }, {}));
        continue;
      }
      const PictureSize size = process.resized(s[2], s[0], s[1]);
      EXPECT_EQ((std::vector{size.height, size.width}), layouts[k][1].integers());
    }
    const Json videos = cases[i]["videos"];
    for (std::size_t k = 0; k < videos.size(); k++) {
      const auto s = videos[k]["size"].integers();
      const PatchGrid grid = process.layout(s[2], s[0], s[1]);
      PreparedPicture video;
      for (const Image& frame : frames_of(s)) {
        process.add_frame(vision_context(), frame, process.resized(s[2], s[0], s[1]), video);
      }
      const std::int64_t step = grid.h * grid.w * process.patch().values();
      std::vector<float> values(std::size_t(grid.t * step));
      for (std::int64_t t = 0; t < grid.t; t++) {
        write_patch_rows(video, process.patch(), t, values.data() + t * step);
      }
      expect_values(values, videos[k]);
    }
  }
}

/// One tile of one frame, as the family's processor makes it.
PreparedPicture single(const std::string& name, const Json& config, const Image& frame) {
  const Context ctx = vision_context();
  if (name == "internvl") return InternVlProcessor(config).whole(ctx, frame);
  if (name == "onevision") return PlainProcessor(config, PlainKind::onevision_frame)(ctx, frame);
  auto whole = config.raw();
  whole["do_image_splitting"] = false;
  return Idefics3Processor(settings(whole.dump()))(ctx, frame);
}

TEST(VideoFrames, EqualTransformersWhereTheyAreSinglePictures) {
  const Json cases = golden()["single"];
  ASSERT_GE(cases.size(), 5u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i]["name"].str() + cases[i]["config"].raw().dump());
    const Json videos = cases[i]["videos"];
    for (std::size_t k = 0; k < videos.size(); k++) {
      std::vector<float> values;
      for (const Image& frame : frames_of(videos[k]["size"].integers())) {
        const auto one =
            chiasm::testing::all_values(single(cases[i]["name"].str(), cases[i]["config"], frame));
        values.insert(values.end(), one.begin(), one.end());
      }
      expect_values(values, videos[k]);
    }
  }
}

TEST(QwenVideoProcessor, LoadsTheFirstOfThreeFiles) {
  const chiasm::testing::TempFolder folder;
  const auto load = [&] {
    return QwenVideoProcessor::load(folder.path(), QwenVideoKind::qwen2_vl);
  };
  EXPECT_TRUE(throws<ModelError>(load, {"video_preprocessor_config.json", "video_processor"}));
  folder.write("preprocessor_config.json", R"({"patch_size": 10})");
  EXPECT_EQ(load().patch().size, 10);
  folder.write("video_preprocessor_config.json",
               R"({"patch_size": 11, "fps": 2, "max_frames": 9})");
  EXPECT_EQ(load().patch().size, 11);
  EXPECT_EQ(load().rule().fps, 2);
  EXPECT_EQ(load().rule().most, 9);
  EXPECT_FALSE(load().samples());
  EXPECT_EQ(load().way(), FrameSampling::qwen2_vl);
  folder.write("processor_config.json", R"({"video_processor": {"patch_size": 12}})");
  EXPECT_EQ(load().patch().size, 12);
}

TEST(QwenVideoProcessor, RefusesWhatItCannotFollow) {
  const auto making = [](const char* text) {
    return [text] { QwenVideoProcessor made(settings(text), QwenVideoKind::qwen3_vl); };
  };
  EXPECT_TRUE(throws<ModelError>(making(R"({"size": {"height": 5, "width": 5}})"), {"size"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"num_frames": 0})"), {"num_frames"}));
  const QwenVideoProcessor process(settings("{}"), QwenVideoKind::qwen3_vl);
  EXPECT_TRUE(throws<MediaError>([&] { (void)process.layout(0, 64, 64); }, {"without frames"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)process.layout(4, 0, 64); }, {"empty"}));
  const QwenVideoProcessor fixed(settings(R"({"do_resize": false})"), QwenVideoKind::qwen3_vl);
  EXPECT_EQ(fixed.tokens(fixed.layout(3, 64, 96)), 2 * 2 * 3);
  EXPECT_TRUE(throws<MediaError>([&] { (void)fixed.layout(4, 64, 65); }, {"65", "32"}));
}

}  // namespace
}  // namespace chiasm::vision
