// A checkpoint's matrices as layers, whichever way round the file holds them.
#include "kernels/linear_layer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/random_checkpoint.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

constexpr std::int64_t kRows = 5, kIn = 37, kOut = 19;

std::vector<float> product(const LinearLayer& layer) {
  const auto x = random_floats(kRows * kIn, 3);
  std::vector<float> y(std::size_t(kRows * kOut));
  layer(context(best_isa()), view(x, {kRows, kIn}), view(y, {kRows, kOut}));
  return y;
}

TEST(LinearLayer, FromTransposedIsTheProductWithTheMatrixAsTheFileHoldsIt) {
  RandomCheckpoint file;
  file.add("projection", {kIn, kOut});
  const auto layer = LinearLayer::from_transposed(context(best_isa()), file.weights(), "projection",
                                                  kIn, kOut, WeightFormat::f32);
  EXPECT_EQ(layer.out(), kOut);
  const auto y = product(layer), x = random_floats(kRows * kIn, 3);
  const std::vector<float>& m = file.values("projection");
  for (std::int64_t r = 0; r < kRows; r++) {
    for (std::int64_t o = 0; o < kOut; o++) {
      double want = 0, size = 0;
      for (std::int64_t i = 0; i < kIn; i++) {
        const double term =
            double(x[std::size_t(r * kIn + i)]) * double(m[std::size_t(i * kOut + o)]);
        want += term;
        size += std::fabs(term);
      }
      // Each of 37 terms is rounded and added once: by 2^-24 of the sum's size each time.
      EXPECT_NEAR(double(y[std::size_t(r * kOut + o)]), want, 38 * 0x1p-24 * size);
    }
  }
}

TEST(LinearLayer, FromTransposedHasTheBitsOfTheSameMatrixTheOtherWayRound) {
  for (const WeightFormat format :
       {WeightFormat::f32, WeightFormat::bf16, WeightFormat::q8, WeightFormat::q4}) {
    RandomCheckpoint file;
    file.add("turned", {kIn, kOut});
    const auto turned = LinearLayer::from_transposed(context(best_isa()), file.weights(), "turned",
                                                     kIn, kOut, format);
    std::vector<float> rows;
    for (std::int64_t o = 0; o < kOut; o++) {
      for (std::int64_t i = 0; i < kIn; i++) {
        rows.push_back(file.values("turned")[std::size_t(i * kOut + o)]);
      }
    }
    const WeightRows part{reinterpret_cast<const std::byte*>(rows.data()), DType::f32, kOut};
    const Matrix matrix = Matrix::pack(context(best_isa()), {&part, 1}, kIn, format);
    const auto x = random_floats(kRows * kIn, 3);
    std::vector<float> y(std::size_t(kRows * kOut));
    linear(context(best_isa()), view(x, {kRows, kIn}), matrix, {}, view(y, {kRows, kOut}));
    EXPECT_TRUE(bit_equal(product(turned), y)) << format_name(format);
  }
}

TEST(LinearLayer, FromTransposedNamesAMatrixOfAnotherShape) {
  RandomCheckpoint file;
  file.add("turned", {kOut, kIn});
  EXPECT_TRUE(throws<ModelError>(
      [&] {
        LinearLayer::from_transposed(context(best_isa()), file.weights(), "turned", kIn, kOut,
                                     WeightFormat::f32);
      },
      {"turned", "[19, 37]", "[37, 19]"}));
}

TEST(LinearLayer, FromConvolutionFlattensTheInnerDimensions) {
  RandomCheckpoint file, plain;
  file.add("part.weight", {kOut, 1, kIn});
  file.add("part.bias", {kOut});
  plain.add("part.weight", {kOut, kIn});  // the same values: they follow from the name
  plain.add("part.bias", {kOut});
  const auto layer = LinearLayer::from_convolution(
      context(best_isa()), file.weights().scope("part"), {kOut, 1, kIn}, true, WeightFormat::f32);
  const LinearLayer same(context(best_isa()), plain.weights(), {{"part", kOut}}, kIn, true,
                         WeightFormat::f32);
  EXPECT_TRUE(bit_equal(product(layer), product(same)));
}

}  // namespace
}  // namespace chiasm::kernels
