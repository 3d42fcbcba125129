/// The processor's float32 numbers are transformers', to the last bit, over odd pictures and every
/// setting.
#include "vision/idefics3_processor.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_folder.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::crc;
using chiasm::testing::decoded;
using chiasm::testing::formula;
using chiasm::testing::picture_bytes;
using chiasm::testing::throws;
using chiasm::testing::vision_context;
using chiasm::testing::vision_golden;

Json parse(const std::string& text) { return Json::parse(text, "preprocessor_config.json"); }

Idefics3Processor processor(const std::string& config) {
  return Idefics3Processor(vision_golden()["configs"][config]);
}

/// Compares with one golden entry: layout, samples, then every byte of pixel_values.
void expect_processed(const Image& image, const Json& want) {
  const Idefics3Processor process = processor(want["config"].str());
  const auto shape = want["shape"].integers();  // tiles, 3, height, width
  const TileGrid grid = process.grid_for(image.width, image.height);
  EXPECT_EQ(grid.rows, want["rows"].integer());
  EXPECT_EQ(grid.cols, want["cols"].integer());
  EXPECT_EQ(grid.count(), shape[0]);
  EXPECT_EQ(grid.tile_height, shape[2]);
  EXPECT_EQ(grid.tile_width, shape[3]);

  const PreparedPicture tiles = process(vision_context(), image);
  ASSERT_EQ(tiles.count(), shape[0]);
  EXPECT_EQ(tiles.rows, grid.rows);
  EXPECT_EQ(tiles.cols, grid.cols);
  EXPECT_EQ(tiles.source_width, image.width);
  EXPECT_EQ(tiles.source_height, image.height);
  const auto plane = std::size_t(shape[2] * shape[3]);
  std::vector<float> values(plane * 3 * std::size_t(tiles.count()));
  for (std::int64_t i = 0; i < tiles.count(); i++) {
    const Tile& tile = tiles.tile(i);
    ASSERT_EQ(tile.height, shape[2]);
    ASSERT_EQ(tile.width, shape[3]);
    EXPECT_EQ(tile.valid.height, tile.height);  // the reference's mask was all ones
    EXPECT_EQ(tile.valid.width, tile.width);
    tiles.pixel_values(i, values.data() + std::size_t(i) * plane * 3);
  }
  const Json samples = want["samples"];
  for (std::size_t i = 0; i < samples.size(); i++) {
    std::size_t at = 0;
    for (std::size_t d = 0; d < 4; d++) {
      at = at * std::size_t(shape[d]) + std::size_t(samples[i][d].integer());
    }
    EXPECT_EQ(values[at], float(samples[i][4].number()));
  }
  // No tolerance: every float32 is the reference's.
  EXPECT_EQ(crc(values.data(), values.size() * sizeof(float)), want["crc"].integer());
}

TEST(Idefics3Processor, EqualsTransformersOverOddPictures) {
  if (!chiasm::testing::exact_pictures()) GTEST_SKIP() << "stb_image is exempt from exactness";
  const Json pictures = vision_golden()["pictures"];
  ASSERT_GE(pictures.size(), 100u);
  for (std::size_t i = 0; i < pictures.size(); i++) {
    const std::string file = pictures[i]["file"].str();
    SCOPED_TRACE(file);
    expect_processed(decoded(picture_bytes(file)), pictures[i]["processor"]);
  }
}

TEST(Idefics3Processor, EqualsTransformersInEverySetting) {
  const Json cases = vision_golden()["processed"];
  ASSERT_GE(cases.size(), 100u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(cases[i].raw().dump());
    if (cases[i].has("file")) {
      if (!chiasm::testing::exact_pictures()) continue;
      expect_processed(decoded(picture_bytes(cases[i]["file"].str())), cases[i]);
    } else {
      const auto size = cases[i]["formula"].integers();
      expect_processed(formula(size[0], size[1]), cases[i]);
    }
  }
}

TEST(Idefics3Processor, LoadsEitherFile) {
  const chiasm::testing::TempFolder folder;
  const auto load = [&] { return Idefics3Processor::load(folder.path()); };
  EXPECT_TRUE(throws<ModelError>(load, {"preprocessor_config.json", "processor_config.json"}));
  folder.write("preprocessor_config.json", R"({"max_image_size": {"longest_edge": 100}})");
  EXPECT_EQ(load().grid_for(5, 5).tile_width, 100);
  folder.write("processor_config.json", R"({"image_seq_len": 64})");  // transformers 4
  EXPECT_EQ(load().grid_for(5, 5).tile_width, 100);
  folder.write("processor_config.json",  // transformers 5, which prefers this one
               R"({"image_processor": {"max_image_size": {"longest_edge": 200}}})");
  EXPECT_EQ(load().grid_for(5, 5).tile_width, 200);
}

TEST(Idefics3Processor, RefusesSettingsItCannotFollow) {
  const auto making = [](const char* text) {
    return [text] { Idefics3Processor made(parse(text)); };
  };
  EXPECT_TRUE(throws<ModelError>(making(R"({"resample": 4})"), {"resample", "4"}));
  EXPECT_TRUE(
      throws<ModelError>(making(R"({"size": {"shortest_edge": 4}})"), {"size", "longest_edge"}));
  EXPECT_TRUE(
      throws<ModelError>(making(R"({"size": {"longest_edge": 0}})"), {"longest_edge", "0"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"image_std": [1, 0, 1]})"), {"image_std"}));
  EXPECT_TRUE(throws<ModelError>(making(R"({"image_mean": [1, 2]})"), {"image_mean"}));
  EXPECT_TRUE(throws<FormatError>(making(R"({"do_resize": "yes"})"), {"do_resize"}));
}

TEST(Idefics3Processor, RefusesAnEmptyPicture) {
  const Idefics3Processor process(parse("{}"));
  EXPECT_TRUE(throws<MediaError>([&] { (void)process(vision_context(), {}); }, {"empty"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)process.grid_for(0, 7); }, {"0 x 7"}));
}

}  // namespace
}  // namespace chiasm::vision
