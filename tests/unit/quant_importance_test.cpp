// Packing in 4 bits by importance: errors go where they count least.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "core/error.h"
#include "kernels/matrix.h"
#include "tests/support/expect_error.h"

namespace chiasm::kernels {
namespace {

using chiasm::testing::throws;

constexpr std::int64_t kOut = 24, kIn = 90;  // the last group has 26 weights

std::vector<float> random_floats(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

// Mean squares of inputs as models have them: a few count a hundred times as much as most.
std::vector<float> uneven(unsigned seed) {
  std::vector<float> importance = random_floats(kIn, seed);
  for (float& v : importance) v = std::exp(2 * v);
  return importance;
}

Matrix pack(const std::vector<float>& w, WeightFormat format, std::span<const float> importance) {
  ThreadPool pool(2);
  Context ctx;
  ctx.pool = &pool;
  const WeightRows rows{reinterpret_cast<const std::byte*>(w.data()), DType::f32, kOut};
  return Matrix::pack(ctx, {&rows, 1}, kIn, format, importance);
}

std::vector<float> widened(const Matrix& m) {
  std::vector<float> all(kOut * kIn);
  for (std::int64_t o = 0; o < kOut; o++) m.row(o, all.data() + o * kIn);
  return all;
}

double error(const std::vector<float>& got, const std::vector<float>& want,
             const std::vector<float>& importance) {
  double sum = 0;
  for (std::size_t i = 0; i < got.size(); i++) {
    sum += std::pow(double(got[i]) - double(want[i]), 2) * double(importance[i % kIn]);
  }
  return sum;
}

TEST(QuantImportance, LowersTheErrorThatCounts) {
  const std::vector<float> w = random_floats(kOut * kIn, 1), importance = uneven(2);
  const double plain = error(widened(pack(w, WeightFormat::q4, {})), w, importance);
  const double by_importance = error(widened(pack(w, WeightFormat::q4, importance)), w, importance);
  EXPECT_LT(by_importance, 0.8 * plain);
}

TEST(QuantImportance, EvenImportanceChangesNothing) {
  const std::vector<float> w = random_floats(kOut * kIn, 3), even(kIn, 1.0f);
  EXPECT_EQ(widened(pack(w, WeightFormat::q4, even)), widened(pack(w, WeightFormat::q4, {})));
}

TEST(QuantImportance, NothingThatCountsStillPacks) {
  const std::vector<float> w = random_floats(kOut * kIn, 4), none(kIn, 0.0f);
  for (const float v : widened(pack(w, WeightFormat::q4, none))) EXPECT_TRUE(std::isfinite(v));
}

TEST(QuantImportance, EightBitsNeedNone) {
  const std::vector<float> w = random_floats(kOut * kIn, 5), importance = uneven(6);
  EXPECT_EQ(widened(pack(w, WeightFormat::q8, importance)), widened(pack(w, WeightFormat::q8, {})));
}

TEST(QuantImportance, RefusesAnotherLength) {
  const std::vector<float> w = random_floats(kOut * kIn, 7), shorter(kIn - 1, 1.0f);
  EXPECT_TRUE(throws<ShapeError>([&] { pack(w, WeightFormat::q4, shorter); },
                                 {"89 importances", "90 inputs"}));
}

}  // namespace
}  // namespace chiasm::kernels
