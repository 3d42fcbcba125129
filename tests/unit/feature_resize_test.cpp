/// Features resized as torch.nn.functional.interpolate(mode="bilinear") resizes them.
#include "vision/feature_resize.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"

namespace chiasm::vision {
namespace {

constexpr GridSize kFrom{4, 5};

/// x[y, c] = (7 y 5 + 11 c 3 + y c) mod 13 - 6, and its negative as a second column.
Tensor grid() {
  Tensor x = float_tensor({20, 2});
  for (std::int64_t i = 0; i < 20; i++) {
    const std::int64_t y = i / 5, c = i % 5;
    const float value = float((7 * y * 5 + 11 * c * 3 + y * c) % 13 - 6);
    x.view<float>().row(i)[0] = value;
    x.view<float>().row(i)[1] = -value;
  }
  return x;
}

/// `want` is torch 2.15's output for the first column.
void expect_resized(GridSize to, const std::vector<float>& want,
                    decltype(&resize_features) resize = resize_features) {
  const Tensor x = grid();
  Tensor y = float_tensor({to.height * to.width, 2});
  resize(x.view<float>(), kFrom, to, y.view<float>());
  ASSERT_EQ(want.size(), std::size_t(to.height * to.width));
  for (std::size_t i = 0; i < want.size(); i++) {
    const float* row = y.view<float>().row(std::int64_t(i));
    EXPECT_NEAR(row[0], want[i], 2e-6) << i;  // float32 noise of values up to 6
    EXPECT_EQ(row[1], -row[0]) << i;
  }
}

TEST(ResizeFeatures, ShrinksAsTorchDoes) {
  expect_resized({3, 2}, {-0.75f, 0.375f, -2.375f, -0.625f, 1.4166677f, -1.6250001f});
  expect_resized({2, 3}, {-1.1666667f, 0.5f, -2.1666658f, -2.0f, 3.0f, -2.8333328f});
}

TEST(ResizeFeatures, KeepsTheOutermostValuesWhereItGrows) {
  Tensor y = float_tensor({5 * 7, 2});
  const Tensor x = grid();
  resize_features(x.view<float>(), kFrom, {5, 7}, y.view<float>());
  EXPECT_FLOAT_EQ(y.view<float>().row(0)[0], -6);
  EXPECT_FLOAT_EQ(y.view<float>().row(34)[0], -4);
  EXPECT_NEAR(y.view<float>().row(1)[0], -2, 2e-6);
  EXPECT_NEAR(y.view<float>().row(16)[0], -1.071428f, 2e-6);
}

TEST(ResizeFeatures, LeavesAGridOfTheSameSizeAsItIs) {
  const Tensor x = grid();
  Tensor y = float_tensor({20, 2});
  resize_features(x.view<float>(), kFrom, kFrom, y.view<float>());
  for (std::int64_t i = 0; i < 40; i++) {
    EXPECT_EQ(y.view<float>().data()[i], x.view<float>().data()[i]);
  }
}

TEST(ResizeFeatures, AntialiasesAsTorchDoes) {
  expect_resized({2, 3},
                 {-1.3061225f, 0.58730155f, -1.7346935f, -1.3469388f, 1.7777779f, -2.4081628f},
                 resize_features_antialiased);
  expect_resized({1, 1}, {-0.35964912f}, resize_features_antialiased);
  // One side shrinks, the other grows.
  expect_resized(
      {3, 7},
      {-3.2999997f, -1.3571429f,  -0.41428587f, -1.6999999f, 0.72857189f, -0.74285734f, -4.0f,
       1.0f,        -1.5714284f,  -1.0714277f,  5.0f,        1.7857137f,  -1.4285716f,  -4.0f,
       -3.8000004f, -0.48571405f, 2.1714293f,   2.5999999f,  0.24285655f, -2.1142859f,  -4.0f},
      resize_features_antialiased);
}

TEST(ResizeFeatures, AntialiasingIsSeenOnlyWhereASideShrinks) {
  const Tensor x = grid();
  Tensor y = float_tensor({9 * 11, 2}), plain = float_tensor({9 * 11, 2});
  resize_features_antialiased(x.view<float>(), kFrom, {9, 11}, y.view<float>());
  resize_features(x.view<float>(), kFrom, {9, 11}, plain.view<float>());
  for (std::int64_t i = 0; i < 2 * 9 * 11; i++) {
    EXPECT_NEAR(y.view<float>().data()[i], plain.view<float>().data()[i], 4e-6) << i;
  }
}

TEST(ResizeFeatures, RefusesOtherShapes) {
  const Tensor x = grid();
  Tensor y = float_tensor({6, 2});
  EXPECT_THROW(resize_features(x.view<float>(), {4, 4}, {3, 2}, y.view<float>()), ShapeError);
  EXPECT_THROW(resize_features(x.view<float>(), kFrom, {2, 2}, y.view<float>()), ShapeError);
  EXPECT_THROW(resize_features_antialiased(x.view<float>(), {4, 4}, {3, 2}, y.view<float>()),
               ShapeError);
}

}  // namespace
}  // namespace chiasm::vision
