#include "projector/pooling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/error.h"
#include "tests/support/kernels.h"

namespace chiasm::projector {

namespace {

Tensor random_rows(std::int64_t rows, std::int64_t cols) {
  Tensor t = float_tensor({rows, cols});
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto view = t.view<float>();
  for (std::int64_t i = 0; i < view.shape().count(); i++) view.data()[i] = normal(random);
  return t;
}

TEST(AveragePool, IsTheMeanOfEachSquare) {
  const std::int64_t side = 7, kernel = 3, dim = 5;  // the last row and column are left out
  const Tensor x = random_rows(2 * side * side, dim);
  Tensor out = float_tensor({2 * 4, dim});
  average_pool(testing::context(best_isa()), x.view<float>(), side, kernel, out.view<float>());
  for (std::int64_t r = 0; r < 8; r++) {
    const std::int64_t grid = r / 4, i = r / 2 % 2, j = r % 2;
    for (std::int64_t k = 0; k < dim; k++) {
      double want = 0;
      for (std::int64_t at = 0; at < kernel * kernel; at++) {
        const std::int64_t u = i * kernel + at / kernel, v = j * kernel + at % kernel;
        want += double(x.view<float>().row((grid * side + u) * side + v)[k]) / 9;
      }
      // Nine additions of numbers of size 3 at most, each rounded by 2^-24 of the sum.
      EXPECT_NEAR(double(out.view<float>().row(r)[k]), want, 1e-5);
    }
  }
  EXPECT_THROW(
      average_pool(testing::context(best_isa()), x.view<float>(), side, 8, out.view<float>()),
      ShapeError);
}

TEST(MeanPool, IsTheMeanOfEachRun) {
  const std::vector<std::int64_t> counts{1, 5, 64, 3};
  for (const std::int64_t dim : {1, 7, 256}) {
    const Tensor x = random_rows(73, dim);
    Tensor out = float_tensor({4, dim});
    mean_pool(x.view<float>(), counts, out.view<float>());
    std::int64_t row = 0;
    for (std::size_t i = 0; i < counts.size(); i++) {
      for (std::int64_t k = 0; k < dim; k++) {
        double want = 0, size = 0;
        for (std::int64_t r = row; r < row + counts[i]; r++) {
          want += double(x.view<float>().row(r)[k]);
          size += std::fabs(double(x.view<float>().row(r)[k]));
        }
        const auto n = double(counts[i]);
        // Each of n additions and the division round once, by 2^-24 of at most the sum's size.
        EXPECT_NEAR(double(out.view<float>().row(std::int64_t(i))[k]), want / n,
                    (n + 2) * 0x1p-24 * size / n);
      }
      row += counts[i];
    }
  }
}

TEST(MeanPool, RefusesWhatHasNoMean) {
  const Tensor x = random_rows(4, 3);
  Tensor out = float_tensor({2, 3});
  const auto pool = [&](std::vector<std::int64_t> counts) {
    mean_pool(x.view<float>(), counts, out.view<float>());
  };
  EXPECT_THROW(pool({4, 0}), ShapeError);
  EXPECT_THROW(pool({2, 3}), ShapeError);
  EXPECT_THROW(pool({4}), ShapeError);
  EXPECT_NO_THROW(pool({1, 3}));
}

TEST(UnitRows, HaveLengthOneAndTheSameDirection) {
  Tensor x = random_rows(5, 37);
  const Tensor before = random_rows(5, 37);
  unit_rows(x.view<float>());
  for (std::int64_t r = 0; r < 5; r++) {
    double length = 0, square = 0;
    for (std::int64_t k = 0; k < 37; k++) {
      length += std::pow(double(x.view<float>().row(r)[k]), 2);
      square += std::pow(double(before.view<float>().row(r)[k]), 2);
    }
    EXPECT_NEAR(length, 1, 1e-6);  // 37 roundings of 2^-24 at most
    for (std::int64_t k = 0; k < 37; k++) {
      const double want = double(before.view<float>().row(r)[k]) / std::sqrt(square);
      EXPECT_NEAR(double(x.view<float>().row(r)[k]), want, std::fabs(want) * 0x1p-23);
    }
  }
}

TEST(UnitRows, LeaveZeroAtZero) {
  Tensor x = float_tensor({1, 3});
  std::fill_n(x.view<float>().data(), 3, 0.0f);
  unit_rows(x.view<float>());
  for (int k = 0; k < 3; k++) EXPECT_EQ(x.view<float>().data()[k], 0.0f);
}

}  // namespace

}  // namespace chiasm::projector
