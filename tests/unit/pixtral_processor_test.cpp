/// Pixtral and Mistral 3: every float32 is transformers', to the last bit.
#include "vision/pixtral_processor.h"

#include <gtest/gtest.h>

#include "tests/support/processor_golden.h"
#include "tests/support/temp_folder.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::settings;
using chiasm::testing::throws;
using chiasm::testing::vision_context;

TEST(PixtralProcessor, EqualsTransformers) {
  const Json cases = chiasm::testing::processor_golden()["pixtral"];
  ASSERT_GE(cases.size(), 4u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i]["config"].raw().dump());
    const std::int64_t token = cases[i]["token"].integer();
    const PixtralProcessor process(cases[i]["config"], token);
    chiasm::testing::expect_as_reference(
        cases[i],
        [&](std::int64_t width, std::int64_t height) {
          const PictureSize size = process.resized(width, height);
          const TokenRows tokens = process.layout(width, height);
          EXPECT_EQ(tokens.rows * token, size.height);
          EXPECT_EQ(tokens.cols * token, size.width);
          return std::vector{size.height, size.width};
        },
        [&](const Image& image) {
          return chiasm::testing::all_values(process(vision_context(), image));
        });
  }
}

TEST(PixtralProcessor, TakesTheTokenFromTheProcessorsSettings) {
  const chiasm::testing::TempFolder folder;
  folder.write("preprocessor_config.json", R"({"patch_size": {"height": 14, "width": 14}})");
  EXPECT_EQ(PixtralProcessor::load(folder.path()).layout(40, 33).cols, 3);  // 16 without settings
  folder.write("processor_config.json", R"({"patch_size": 14, "spatial_merge_size": 2})");
  const TokenRows tokens = PixtralProcessor::load(folder.path()).layout(40, 57);
  EXPECT_EQ(tokens.rows, 3);
  EXPECT_EQ(tokens.cols, 2);
}

TEST(PixtralProcessor, RefusesWhatItCannotFollow) {
  const auto making = [](const char* text) {
    return [text] { PixtralProcessor made(settings(text), 28); };
  };
  EXPECT_TRUE(throws<ModelError>(making(R"({"size": {"shortest_edge": 9}})"), {"longest_edge"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"do_center_crop": true})"), {"do_center_crop"}));
  EXPECT_TRUE(throws<ModelError>([] { PixtralProcessor made(settings("{}"), 0); }, {"0"}));
  const PixtralProcessor process(settings("{}"), 28);
  EXPECT_TRUE(throws<MediaError>([&] { (void)process(vision_context(), {}); }, {"empty"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)process.layout(1, 4000); }, {"too thin"}));
}

}  // namespace
}  // namespace chiasm::vision
