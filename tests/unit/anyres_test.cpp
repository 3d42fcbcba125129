/// The arithmetic of pictures of any resolution: the very tokens that transformers keeps.
#include "vision/anyres.h"

#include <gtest/gtest.h>

#include "tests/support/processor_golden.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::throws;

/// The golden value's form: (tile, row, column) as int32, (-1, 0, 0) for a newline.
std::uint32_t crc_of(const std::vector<PatchSource>& tokens) {
  std::vector<std::int32_t> flat;
  for (const PatchSource& token : tokens) {
    flat.insert(flat.end(),
                {std::int32_t(token.tile), std::int32_t(token.row), std::int32_t(token.col)});
  }
  return chiasm::testing::crc(flat.data(), flat.size() * sizeof(std::int32_t));
}

std::vector<PictureSize> sizes_of(const Json& list) {
  std::vector<PictureSize> out;
  for (std::size_t i = 0; i < list.size(); i++) {
    out.push_back({list[i][0].integer(), list[i][1].integer()});
  }
  return out;
}

TEST(Anyres, KeepsTheTokensThatTransformersKeeps) {
  const Json cases = chiasm::testing::processor_golden()["anyres_tokens"];
  ASSERT_GE(cases.size(), 4u);
  std::size_t shrunk = 0;
  for (std::size_t i = 0; i < cases.size(); i++) {
    const auto choices = sizes_of(cases[i]["pinpoints"]);
    const std::int64_t side = cases[i]["side"].integer(), most = cases[i]["max_tiles"].integer();
    const std::int64_t tile = cases[i]["tile"].integer();
    const Json sizes = cases[i]["sizes"];
    for (std::size_t k = 0; k < sizes.size(); k++) {
      SCOPED_TRACE(sizes[k].raw().dump());
      const PictureSize source{sizes[k][0][1].integer(), sizes[k][0][0].integer()};
      const auto want = sizes[k][1].integers();  // rows, cols, tokens, then CRC or shrunk size
      const PictureSize best = best_resolution(source, choices);
      EXPECT_EQ(best.height / tile, want[0]);
      EXPECT_EQ(best.width / tile, want[1]);
      const AnyresGrid grid = anyres_grid(source, want[0], want[1], side, most);
      EXPECT_EQ(grid.tokens(), want[2]);
      ASSERT_EQ(grid.is_shrunk(), want.size() == 5);
      if (grid.is_shrunk()) {
        shrunk++;
        EXPECT_EQ(grid.out_height, want[3]);
        EXPECT_EQ(grid.out_width, want[4]);
      } else {
        const auto tokens = anyres_tokens(grid);
        EXPECT_EQ(std::int64_t(tokens.size()), want[2]);
        EXPECT_EQ(std::int64_t(crc_of(tokens)), want[3]);
      }
    }
  }
  EXPECT_GE(shrunk, 20u);
}

TEST(Anyres, RoundsAtTheSeventhDecimal) {
  // 49 * (54 / 98) is 26.999999999999996 in double: 27 patches of 54, not 26.
  const AnyresGrid grid = anyres_grid({49, 98}, 2, 2, 27, 0);
  EXPECT_EQ(grid.height, 28);
  EXPECT_EQ(grid.top, 13);
  EXPECT_EQ(shown_patch(grid, 0, 28), (PatchSource{2, 13, 1}));
  EXPECT_EQ(shown_patch(grid, 14, 0), (PatchSource{3, 0, 0}));
}

TEST(Anyres, ReadsTheLimit) {
  EXPECT_EQ(anyres_max_tiles("anyres_max_9"), 9);
  for (const char* text : {"anyres", "anyres_max_", "anyres_max_0", "anyres_max_9x", "pad"}) {
    EXPECT_TRUE(throws<ModelError>([&] { (void)anyres_max_tiles(text); }, {text, "anyres_max_"}));
  }
}

TEST(Anyres, RefusesWhatHasNoTokens) {
  EXPECT_TRUE(throws<ShapeError>(
      [] {
        (void)anyres_tokens(anyres_grid({9, 9}, 3, 3, 4, 1));
      },
      {"shrunk"}));
  EXPECT_TRUE(throws<MediaError>([] { (void)anyres_grid({0, 9}, 1, 1, 4, 1); }, {"empty"}));
}

}  // namespace
}  // namespace chiasm::vision
