/// InternVL, Gemma 3, LLaVA-NeXT and LLaVA-OneVision: every float32 is transformers', to the last
/// bit.
#include <gtest/gtest.h>

#include "tests/support/processor_golden.h"
#include "tests/support/temp_folder.h"
#include "vision/anyres_processor.h"
#include "vision/gemma3_processor.h"
#include "vision/internvl_processor.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::all_values;
using chiasm::testing::expect_promised;
using chiasm::testing::formula;
using chiasm::testing::processor_golden;
using chiasm::testing::settings;
using chiasm::testing::throws;
using chiasm::testing::vision_context;

/// Number, height and width of the tiles.
std::vector<std::int64_t> count_and_size(const TileLayout& layout) {
  return {std::int64_t(layout.tiles.size()), layout.tiles[0].height, layout.tiles[0].width};
}

template <class Processor>
std::vector<float> promised_values(const Processor& process, const Image& image) {
  const PreparedPicture picture = process(vision_context(), image);
  expect_promised(picture, process.layout(image.width, image.height));
  return all_values(picture);
}

TEST(InternVlProcessor, EqualsTransformers) {
  const Json cases = processor_golden()["internvl"];
  ASSERT_GE(cases.size(), 6u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i]["config"].raw().dump());
    const InternVlProcessor process(cases[i]["config"]);
    chiasm::testing::expect_as_reference(
        cases[i],
        [&](std::int64_t width, std::int64_t height) {
          const TileLayout layout = process.layout(width, height);
          return std::vector{std::int64_t(layout.tiles.size()), layout.rows, layout.cols};
        },
        [&](const Image& image) { return promised_values(process, image); });
  }
}

TEST(InternVlProcessor, LeavesFramesWhole) {
  const InternVlProcessor process(settings(R"({"size": {"height": 28, "width": 28}})"));
  const Image image = formula(300, 100);
  const PreparedPicture cut = process(vision_context(), image);
  const PreparedPicture frame = process.whole(vision_context(), image);
  ASSERT_EQ(cut.count(), 13);
  ASSERT_EQ(frame.count(), 1);
  EXPECT_EQ(frame.tiles[0].rgb, cut.tiles[12].rgb);
}

TEST(Gemma3Processor, EqualsTransformers) {
  const Json cases = processor_golden()["gemma3"];
  ASSERT_GE(cases.size(), 4u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i]["name"].str() + cases[i]["config"].raw().dump());
    std::optional<PanAndScan> pan;
    if (cases[i]["name"].str() == "pan_and_scan") pan.emplace();
    const Gemma3Processor process(cases[i]["config"], pan);
    chiasm::testing::expect_as_reference(
        cases[i],
        [&](std::int64_t width, std::int64_t height) {
          return count_and_size(process.layout(width, height));
        },
        [&](const Image& image) { return promised_values(process, image); });
  }
}

AnyresKind kind(const std::string& name) {
  return name == "llava_next" ? AnyresKind::llava_next : AnyresKind::llava_onevision;
}

TEST(AnyresProcessor, EqualsTransformers) {
  const Json cases = processor_golden()["anyres"];
  ASSERT_GE(cases.size(), 8u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    const std::string name = cases[i]["name"].str();
    SCOPED_TRACE(name + cases[i]["config"].raw().dump());
    const AnyresProcessor process(cases[i]["config"], kind(name));
    const bool several = name == "several";
    chiasm::testing::expect_as_reference(
        cases[i],
        [&](std::int64_t width, std::int64_t height) {
          auto layout = count_and_size(process.layout(width, height));
          if (several) layout[0] = 1;
          return layout;
        },
        [&](const Image& image) {
          return several ? all_values(process.whole(vision_context(), image))
                         : promised_values(process, image);
        });
  }
}

TEST(TiledProcessors, LoadFromAFolder) {
  const chiasm::testing::TempFolder folder;
  folder.write("processor_config.json", R"({"image_processor": {"size": {"height": 9, "width": 9},
      "image_grid_pinpoints": [[9, 18]]}})");
  EXPECT_EQ(InternVlProcessor::load(folder.path()).layout(5, 5).tiles[0].width, 9);
  EXPECT_EQ(Gemma3Processor::load(folder.path()).layout(5, 5).tiles[0].width, 9);
  const auto anyres = AnyresProcessor::load(folder.path(), AnyresKind::llava_onevision);
  EXPECT_EQ(anyres.layout(5, 5).tiles.size(), 3u);
}

TEST(TiledProcessors, RefuseSettingsTheyCannotFollow) {
  const auto internvl = [](const char* text) {
    return [text] { InternVlProcessor made(settings(text)); };
  };
  EXPECT_TRUE(throws<ModelError>(internvl(R"({"size": {"shortest_edge": 9}})"), {"size", "width"}));
  EXPECT_TRUE(throws<ModelError>(internvl(R"({"max_patches": 0})"), {"max_patches", "0"}));
  EXPECT_TRUE(throws<ModelError>(
      [] { Gemma3Processor made(settings(R"({"size": {"shortest_edge": 9}})"), PanAndScan{}); },
      {"size"}));
  const auto anyres = [](const char* text) {
    return [text] { AnyresProcessor made(settings(text), AnyresKind::llava_onevision); };
  };
  EXPECT_TRUE(throws<ModelError>(anyres(R"({"image_grid_pinpoints": []})"), {"pinpoints"}));
  EXPECT_TRUE(throws<ModelError>(anyres(R"({"image_grid_pinpoints": [[384]]})"), {"pinpoints"}));
  EXPECT_TRUE(
      throws<ModelError>(anyres(R"({"image_grid_pinpoints": [[384, 500]]})"), {"500", "384"}));
  EXPECT_TRUE(throws<ModelError>(anyres(R"({"image_grid_pinpoints": [[384, -384]]})"), {"-384"}));
  EXPECT_TRUE(throws<ModelError>(anyres(R"({"size": {"longest_edge": 9}})"), {"size"}));
  EXPECT_TRUE(throws<ModelError>(anyres(R"({"do_center_crop": true})"), {"crop_size"}));
  EXPECT_TRUE(
      throws<ModelError>(anyres(R"({"do_resize": false, "crop_size": 192})"), {"different sizes"}));
}

TEST(TiledProcessors, RefuseAnEmptyPicture) {
  const InternVlProcessor internvl(settings("{}"));
  const Gemma3Processor gemma3(settings("{}"));
  const AnyresProcessor anyres(settings("{}"), AnyresKind::llava_onevision);
  EXPECT_TRUE(throws<MediaError>([&] { (void)internvl(vision_context(), {}); }, {"empty"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)gemma3(vision_context(), {}); }, {"empty"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)anyres(vision_context(), {}); }, {"empty"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)anyres.whole(vision_context(), {}); }, {"empty"}));
}

}  // namespace
}  // namespace chiasm::vision
