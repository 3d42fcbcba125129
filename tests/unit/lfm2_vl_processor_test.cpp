/// LFM2-VL: every float32 is transformers', to the last bit, padding included.
#include "vision/lfm2_vl_processor.h"

#include <gtest/gtest.h>

#include "tests/support/processor_golden.h"
#include "tests/support/temp_folder.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::settings;
using chiasm::testing::throws;
using chiasm::testing::vision_context;

TEST(Lfm2VlProcessor, EqualsTransformers) {
  const Json cases = chiasm::testing::processor_golden()["lfm2_vl"];
  ASSERT_GE(cases.size(), 7u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i]["config"].raw().dump());
    const Lfm2VlProcessor process(cases[i]["config"]);
    chiasm::testing::expect_as_reference(
        cases[i],
        [&](std::int64_t width, std::int64_t height) {
          std::vector<std::int64_t> shapes;
          for (const PictureSize& tile : process.layout(width, height).tiles) {
            const PictureSize patches = process.patches(tile);
            shapes.insert(shapes.end(), {patches.height, patches.width});
          }
          return shapes;
        },
        [&](const Image& image) {
          const PreparedPicture picture = process(vision_context(), image);
          chiasm::testing::expect_promised(picture, process.layout(image.width, image.height));
          const auto step =
              std::size_t(process.max_patches() * process.patch() * process.patch() * 3);
          std::vector<float> values(picture.tiles.size() * step);
          for (std::size_t t = 0; t < picture.tiles.size(); t++) {
            process.write_patch_rows(picture, std::int64_t(t), values.data() + t * step);
          }
          return values;
        });
  }
}

TEST(Lfm2VlProcessor, CountsTokens) {
  const Lfm2VlProcessor process(settings(R"({"tile_size": 48, "downsample_factor": 2})"));
  EXPECT_EQ(process.tokens({512, 256}), 16 * 8);
  EXPECT_EQ(process.tokens({48, 48}), 4);  // 3 x 3 patches
}

TEST(Lfm2VlProcessor, LoadsAndRefuses) {
  const chiasm::testing::TempFolder folder;
  folder.write("processor_config.json", R"({"image_processor": {"use_thumbnail": false}})");
  EXPECT_FALSE(Lfm2VlProcessor::load(folder.path()).has_whole());
  const auto making = [](const char* text) {
    return [text] { Lfm2VlProcessor made(settings(text)); };
  };
  EXPECT_TRUE(throws<ModelError>(making(R"({"min_tiles": 11})"), {"min_tiles", "11"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"tile_size": 500})"), {"tile_size", "16"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"downsample_factor": 0})"), {"downsample_factor"}));
  const Lfm2VlProcessor process(settings("{}"));
  EXPECT_TRUE(throws<MediaError>([&] { (void)process(vision_context(), {}); }, {"empty"}));
}

}  // namespace
}  // namespace chiasm::vision
