/// CLIP, LLaVA and SigLIP: every float32 is transformers', to the last bit.
#include "vision/plain_processor.h"

#include <gtest/gtest.h>

#include "tests/support/processor_golden.h"
#include "tests/support/temp_folder.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::settings;
using chiasm::testing::throws;
using chiasm::testing::vision_context;

PlainKind kind(const std::string& name) {
  return name == "clip" ? PlainKind::clip : name == "llava" ? PlainKind::llava : PlainKind::siglip;
}

TEST(PlainProcessor, EqualsTransformers) {
  const Json cases = chiasm::testing::processor_golden()["plain"];
  ASSERT_GE(cases.size(), 12u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i]["name"].str() + cases[i]["config"].raw().dump());
    const PlainProcessor process(cases[i]["config"], kind(cases[i]["name"].str()));
    chiasm::testing::expect_as_reference(
        cases[i],
        [&](std::int64_t width, std::int64_t height) {
          const TileLayout layout = process.layout(width, height);
          return std::vector{layout.tiles[0].height, layout.tiles[0].width};
        },
        [&](const Image& image) {
          const PreparedPicture picture = process(vision_context(), image);
          chiasm::testing::expect_promised(picture, process.layout(image.width, image.height));
          return chiasm::testing::all_values(picture);
        });
  }
}

TEST(PlainProcessor, NeedsNoMemoryForWhatIsCutAway) {
  const PlainProcessor process(settings("{}"), PlainKind::clip);
  // Resized whole, it would have 14.7 million x 224 pixels, 10 GB.
  const auto values =
      chiasm::testing::all_values(process(vision_context(), chiasm::testing::formula(1, 65535)));
  EXPECT_EQ(values.size(), 3u * 224 * 224);
}

TEST(PlainProcessor, TakesTheKindThatTheSettingsName) {
  const chiasm::testing::TempFolder folder;
  folder.write("preprocessor_config.json",
               R"({"image_processor_type": "SiglipImageProcessorFast"})");
  const auto process = PlainProcessor::load(folder.path(), PlainKind::clip);
  const PreparedPicture picture = process(vision_context(), chiasm::testing::formula(100, 50));
  EXPECT_EQ(picture.levels[0][255], 1.0f);  // SigLIP's mean and deviation of a half
  EXPECT_EQ(picture.source_width, 100);
  EXPECT_EQ(picture.source_height, 50);
}

TEST(PlainProcessor, RefusesSettingsItCannotFollow) {
  const auto making = [](const char* text) {
    return [text] { PlainProcessor made(settings(text), PlainKind::clip); };
  };
  EXPECT_TRUE(throws<ModelError>(making(R"({"image_processor_type": "ViTImageProcessor"})"),
                                 {"ViTImageProcessor", "SiglipImageProcessor"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"resample": 5})"), {"resample", "5"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"size": {"height": 5}})"), {"size", "width"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"size": {"shortest_edge": 0}})"), {"shortest_edge"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"size": [1, 2, 3]})"), {"size"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"crop_size": {"shortest_edge": 9}})"), {"crop_size"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"image_std": [1, 0, 1]})"), {"image_std"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"image_mean": [1, 2]})"), {"image_mean"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"rescale_factor": 0})"), {"rescale_factor"}));
  EXPECT_TRUE(throws<ModelError>(
      making(R"({"do_pad": true, "pad_size": {"height": 9, "width": 9}})"), {"pad_size"}));
  EXPECT_TRUE(throws<FormatError>(making(R"({"do_resize": "yes"})"), {"do_resize"}));
}

TEST(PlainProcessor, RefusesWhatItCannotPrepare) {
  const PlainProcessor process(settings(R"({"do_pad": true})"), PlainKind::llava);
  EXPECT_TRUE(throws<MediaError>([&] { (void)process(vision_context(), {}); }, {"empty"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)process.layout(0, 7); }, {"7", "0"}));
  // The square would have four thousand million pixels.
  const Image line = chiasm::testing::formula(65535, 1);
  EXPECT_TRUE(throws<MediaError>([&] { (void)process(vision_context(), line); }, {"too thin"}));
}

}  // namespace
}  // namespace chiasm::vision
