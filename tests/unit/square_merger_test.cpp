// Squares of patches become rows, the feature outermost: torch's unfold, written out.
#include "projector/square_merger.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/random_checkpoint.h"

namespace chiasm::projector {
namespace {

using namespace chiasm::testing;

constexpr std::int64_t kDim = 5;

class SquareMergerTest : public ::testing::TestWithParam<std::int64_t> {
 protected:
  SquareMergerTest() : side_(GetParam()) {
    file_.add("merging_layer.weight", {kDim, kDim * side_ * side_});
    merger_.emplace(context(best_isa()), file_.weights(), kDim, side_, kernels::WeightFormat::f32);
  }

  std::vector<float> merged(const std::vector<float>& x, const std::vector<PatchGrid>& grids,
                            std::int64_t rows) const {
    Arena arena;
    std::vector<float> y(std::size_t(rows * kDim));
    const auto patches = std::int64_t(x.size()) / kDim;
    merger_->forward(context(best_isa()), view(x, {patches, kDim}), grids, arena,
                     view(y, {rows, kDim}));
    return y;
  }

  std::int64_t side_;
  RandomCheckpoint file_;
  std::optional<SquareMerger> merger_;
};

TEST_P(SquareMergerTest, JoinsEachSquareTheFeatureOutermost) {
  const std::vector<PatchGrid> grids{{2 * side_, 3 * side_}, {side_, side_}, {side_, 4 * side_}};
  const std::int64_t square = side_ * side_, patches = 11 * square;
  const auto x = random_floats(patches * kDim, 1);
  const auto y = merged(x, grids, 11);
  const std::vector<float>& w = file_.values("merging_layer.weight");
  std::int64_t first = 0, row = 0;
  for (const PatchGrid& grid : grids) {
    for (std::int64_t r = 0; r < grid.rows / side_ * (grid.cols / side_); r++, row++) {
      const std::int64_t top = r / (grid.cols / side_) * side_;
      const std::int64_t left = r % (grid.cols / side_) * side_;
      for (std::int64_t o = 0; o < kDim; o++) {
        double want = 0;
        for (std::int64_t k = 0; k < kDim; k++) {
          for (std::int64_t u = 0; u < side_; u++) {
            for (std::int64_t v = 0; v < side_; v++) {
              const std::int64_t from = first + (top + u) * grid.cols + left + v;
              const std::int64_t column = (k * side_ + u) * side_ + v;
              want += double(x[std::size_t(from * kDim + k)]) *
                      double(w[std::size_t(o * kDim * square + column)]);
            }
          }
        }
        // At most 45 terms of size 10, each rounded twice by 2^-24.
        EXPECT_NEAR(double(y[std::size_t(row * kDim + o)]), want, 90 * 10 * 0x1p-24);
      }
    }
    first += grid.rows * grid.cols;
  }
}

TEST_P(SquareMergerTest, RefusesGridsThatDoNotFit) {
  const auto x = random_floats(6 * side_ * side_ * kDim, 1);
  const auto refused = [&](std::vector<PatchGrid> grids, std::int64_t rows) {
    return throws<ShapeError>([&] { merged(x, grids, rows); }, {"["});
  };
  const auto does_not_divide = [&](PatchGrid grid) {
    return throws<ShapeError>([&] { merged(x, {grid}, 6); }, {"to be merged by"});
  };
  if (side_ > 1) {
    EXPECT_TRUE(does_not_divide({2 * side_, 3 * side_ + 1}));
    EXPECT_TRUE(does_not_divide({2 * side_ - 1, 3 * side_}));
  }
  EXPECT_TRUE(does_not_divide({4 * side_, 3 * side_})) << "more patches than there are";
  EXPECT_TRUE(refused({{side_, 3 * side_}}, 3)) << "patches left over";
  EXPECT_TRUE(refused({{2 * side_, 3 * side_}}, 7)) << "rows left over";
}

INSTANTIATE_TEST_SUITE_P(Sides, SquareMergerTest, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace chiasm::projector
