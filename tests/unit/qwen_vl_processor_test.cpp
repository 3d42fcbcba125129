/// Qwen2-VL, Qwen2.5-VL and Qwen3-VL: every float32 is transformers', to the last bit.
#include "vision/qwen_vl_processor.h"

#include <gtest/gtest.h>

#include "tests/support/processor_golden.h"
#include "tests/support/temp_folder.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::formula;
using chiasm::testing::settings;
using chiasm::testing::throws;
using chiasm::testing::vision_context;

std::vector<float> rows(const QwenVlProcessor& process, const PreparedPicture& picture,
                        const PatchGrid& grid) {
  const std::int64_t step = grid.h * grid.w * process.patch().values();
  std::vector<float> out(std::size_t(grid.t * step));
  for (std::int64_t t = 0; t < grid.t; t++) {
    write_patch_rows(picture, process.patch(), t, out.data() + t * step);
  }
  return out;
}

TEST(QwenVlProcessor, EqualsTransformers) {
  const Json cases = chiasm::testing::processor_golden()["qwen_vl"];
  ASSERT_GE(cases.size(), 6u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i]["config"].raw().dump());
    const QwenVlProcessor process(cases[i]["config"]);
    chiasm::testing::expect_as_reference(
        cases[i],
        [&](std::int64_t width, std::int64_t height) {
          const PatchGrid grid = process.layout(width, height);
          return std::vector{grid.t, grid.h, grid.w};
        },
        [&](const Image& image) {
          const PreparedPicture picture = process(vision_context(), image);
          return rows(process, picture, process.layout(image.width, image.height));
        });
  }
}

TEST(QwenVlProcessor, CountsTokens) {
  const QwenVlProcessor process(settings("{}"));
  EXPECT_EQ(process.tokens(process.layout(280, 560)), 10 * 20);
  EXPECT_EQ(process.resized(281, 561).width, 280);
}

/// The case of three frames: the second step repeats the third.
TEST(QwenVlProcessor, PairsFrames) {
  const QwenVlProcessor process(
      settings(R"({"patch_size": 2, "min_pixels": 16, "max_pixels": 64})"));
  PreparedPicture video;
  for (const int value : {10, 20, 30}) {
    video.tiles.push_back({4, 4, {4, 4}, std::vector<std::uint8_t>(48, std::uint8_t(value))});
  }
  for (auto& channel : video.levels) {
    for (std::size_t level = 0; level < 256; level++) channel[level] = float(level);
  }
  const auto values = rows(process, video, {2, 2, 2});
  ASSERT_EQ(values.size(), 2u * 4 * 24);
  for (std::size_t i = 0; i < values.size(); i++) {
    const std::size_t step = i / 96, frame = i % 8 / 4;  // [channel, frame, row, column]
    EXPECT_EQ(values[i], step == 1 ? 30 : frame == 0 ? 10 : 20) << i;
  }
}

TEST(QwenVlProcessor, RefusesSettingsItCannotFollow) {
  const auto making = [](const char* text) {
    return [text] { QwenVlProcessor made(settings(text)); };
  };
  EXPECT_TRUE(throws<ModelError>(making(R"({"size": {"height": 5, "width": 5}})"), {"size"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"size": {"shortest_edge": 5}})"), {"longest_edge"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"patch_size": 0})"), {"patch_size", "0"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"merge_size": 99})"), {"merge_size", "99"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"max_pixels": -1})"), {"max_pixels", "-1"}));
}

TEST(QwenVlProcessor, RefusesWhatItCannotPrepare) {
  const QwenVlProcessor process(settings("{}"));
  EXPECT_TRUE(throws<MediaError>([&] { (void)process(vision_context(), {}); }, {"empty"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)process.layout(201, 1); }, {"too thin", "200"}));
  const QwenVlProcessor fixed(settings(R"({"do_resize": false})"));
  EXPECT_TRUE(throws<MediaError>([&] { (void)fixed.layout(56, 57); }, {"57", "28"}));
}

}  // namespace
}  // namespace chiasm::vision
