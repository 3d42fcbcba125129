/// Where tiles and tokens lie in a picture that was resized, padded or cut.
#include "runtime/picture_tiles.h"

#include <gtest/gtest.h>

#include "tests/support/processor_golden.h"
#include "vision/anyres_processor.h"
#include "vision/gemma3_processor.h"
#include "vision/plain_processor.h"

namespace chiasm {
namespace {

using chiasm::testing::settings;
using vision::PictureSize;

void expect_near(const Region& got, const Region& want) {
  EXPECT_NEAR(got.left, want.left, 1e-9);
  EXPECT_NEAR(got.top, want.top, 1e-9);
  EXPECT_NEAR(got.right, want.right, 1e-9);
  EXPECT_NEAR(got.bottom, want.bottom, 1e-9);
}

TEST(PictureTiles, DividesAPictureIntoAGrid) {
  PictureTiles tiles(300, 100);
  tiles.add_grid(1, 3, {14, 14}, 2);
  tiles.add_tile(Region::whole(tiles.size()), {14, 14}, 2, 2);
  ASSERT_EQ(tiles.tiles.size(), 4u);
  ASSERT_EQ(tiles.tokens.size(), 16u);
  expect_near(tiles.tiles[1].shows, {100, 0, 200, 100});
  EXPECT_EQ(tiles.tiles[1].tokens, 4);
  EXPECT_EQ(tiles.tokens[6].tile, 1);  // the second row of the second tile
  expect_near(tiles.tokens[6].shows, {100, 50, 150, 100});
  expect_near(tiles.tokens[13].shows, {150, 0, 300, 50});
}

TEST(PictureTiles, CutsAtThePicturesEdges) {
  PictureTiles tiles(10, 20);
  tiles.add_tile({-5, 0, 15, 20}, {8, 8}, 1, 4);
  tiles.add_token(-1, {});
  expect_near(tiles.tiles[0].shows, {0, 0, 10, 20});
  expect_near(tiles.tokens[0].shows, {0, 0, 0, 20});  // padding alone
  expect_near(tiles.tokens[1].shows, {0, 0, 5, 20});
  EXPECT_EQ(tiles.tokens[4].tile, -1);
  EXPECT_EQ(tiles.tiles[0].tokens, 4);
}

TEST(Region, OfACutAroundTheMiddle) {
  // 40 x 20 becomes 20 x 10; of that the middle 10 x 10, or 10 x 14 with padding.
  expect_near(vision::cut_region({20, 40}, {10, 20}, {10, 10}), {10, 0, 30, 20});
  expect_near(vision::cut_region({20, 40}, {10, 20}, {14, 10}), {10, -4, 30, 24});
}

TEST(Region, OfClipsMiddleAndLlavasSquare) {
  const vision::PlainProcessor clip(
      settings(R"({"size": {"shortest_edge": 30}, "crop_size": {"height": 30, "width": 30}})"),
      vision::PlainKind::clip);
  expect_near(clip.shown(120, 60), {30, 0, 90, 60});
  const vision::PlainProcessor llava(
      settings(R"({"size": {"shortest_edge": 30}, "crop_size": {"height": 30, "width": 30},
                   "do_pad": true})"),
      vision::PlainKind::llava);
  expect_near(llava.shown(120, 60), {0, -30, 120, 90});
}

TEST(Region, OfAnyresTiles) {
  const vision::AnyresProcessor process(
      settings(R"({"size": {"height": 10, "width": 10}, "image_grid_pinpoints": [[10, 20]]})"),
      vision::AnyresKind::llava_onevision);
  // 100 x 40 becomes 20 x 8, with a row of padding above and one below.
  const auto regions = process.shown(100, 40);
  ASSERT_EQ(regions.size(), 3u);
  expect_near(regions[0], {0, 0, 100, 40});
  expect_near(regions[1], {0, -5, 50, 45});
  expect_near(regions[2], {50, -5, 100, 45});
  expect_near(process.whole_shown(100, 40), {0, -30, 100, 70});
}

TEST(Region, OfPanAndScan) {
  const vision::Gemma3Processor process(settings("{}"), vision::PanAndScan{.least_part = 10});
  const auto regions = process.shown(101, 50);  // two parts, the second a pixel smaller
  ASSERT_EQ(regions.size(), 3u);
  expect_near(regions[0], {0, 0, 101, 50});
  expect_near(regions[1], {0, 0, 51, 50});
  expect_near(regions[2], {51, 0, 101, 50});
}

}  // namespace
}  // namespace chiasm
