// Norms on every path against the reference in double.
#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

constexpr double kUnit = 0x1p-24;
constexpr std::int64_t kDims[] = {1, 3, 7, 16, 31, 64, 576, 768, 1000};

// Additions of a sum of `dim` terms that follow one another on the narrowest path: 16 sums run side
// by side and are joined at the end.
double depth(std::int64_t dim) { return double(dim) / 16 + 8; }

TEST(RmsNorm, MatchesReferenceOnEveryPath) {
  for (const std::int64_t dim : kDims) {
    for (const std::int64_t rows : {0, 1, 5}) {
      const auto x = random_floats(rows * dim, 1, 0.3f, 2), weight = random_floats(dim, 2, 1, 0.5f);
      std::vector<float> want(x.size()), got(x.size());
      rms_norm(context(Isa::reference), view(x, {rows, dim}), view(weight, {dim}), 1e-5f,
               view(want, {rows, dim}));
      for (const Isa isa : supported_isas()) {
        rms_norm(context(isa), view(x, {rows, dim}), view(weight, {dim}), 1e-5f,
                 view(got, {rows, dim}));
        // The squares are positive, so their sum's relative error is its depth; the root halves it;
        // 8 more roundings.
        EXPECT_TRUE(all_close(got, want, (depth(dim) / 2 + 8) * kUnit, 0)) << name(isa) << dim;
      }
    }
  }
}

TEST(LayerNorm, MatchesReferenceOnEveryPath) {
  for (const float offset : {0.0f, 30.0f}) {  // a large mean shows a one-pass variance
    for (const std::int64_t dim : kDims) {
      const std::int64_t rows = 5;
      const auto x = random_floats(rows * dim, 3, offset, 1);
      const auto weight = random_floats(dim, 4, 1, 0.5f), bias = random_floats(dim, 5);
      std::vector<float> want(x.size()), got(x.size());
      layer_norm(context(Isa::reference), view(x, {rows, dim}), view(weight, {dim}),
                 view(bias, {dim}), 1e-5f, view(want, {rows, dim}));
      for (const Isa isa : supported_isas()) {
        layer_norm(context(isa), view(x, {rows, dim}), view(weight, {dim}), view(bias, {dim}),
                   1e-5f, view(got, {rows, dim}));
        EXPECT_TRUE(all_close(got, want,
                              [&](std::size_t i) {
                                double mean = 0, size = 0, variance = 0;
                                const float* row = x.data() + std::int64_t(i) / dim * dim;
                                for (std::int64_t j = 0; j < dim; j++)
                                  mean += double(row[j]) / double(dim);
                                for (std::int64_t j = 0; j < dim; j++) {
                                  size += std::fabs(double(row[j])) / double(dim);
                                  variance += std::pow(double(row[j]) - mean, 2) / double(dim);
                                }
                                const double scale = 1 / std::sqrt(variance + 1e-5);
                                const std::size_t j = i % std::size_t(dim);
                                const double normal = std::fabs((double(x[i]) - mean) * scale);
                                // The mean is off by its depth times the mean magnitude. The
                                // variance feels this only in second order, but for a tiny dim it
                                // may be all there is.
                                const double mean_error = (depth(dim) + 2) * kUnit * size * scale;
                                const double w = std::fabs(double(weight[j]));
                                const double relative = (depth(dim) / 2 + 8) * kUnit + mean_error;
                                return w * (mean_error + relative * normal) +
                                       2 * kUnit * std::fabs(double(bias[j]));
                              }))
            << name(isa) << ", dim " << dim << ", offset " << offset;
      }
    }
  }
}

TEST(Norm, InPlaceStridedAndThreadedGiveTheSameBits) {
  const std::int64_t rows = 90, dim = 577, stride = 600;
  const auto x = random_floats(rows * stride, 6);
  const auto weight = random_floats(dim, 7), bias = random_floats(dim, 8);
  const TensorView<const float> strided(x.data() + 5, {rows, dim}, stride, "x");
  for (const Isa isa : supported_isas()) {
    std::vector<float> one(std::size_t(rows * dim)), in_place = x;
    layer_norm(context(isa, 1), strided, view(weight, {dim}), view(bias, {dim}), 1e-6f,
               view(one, {rows, dim}));
    const TensorView<float> same(in_place.data() + 5, {rows, dim}, stride, "x");
    layer_norm(context(isa, 3), same, view(weight, {dim}), view(bias, {dim}), 1e-6f, same);
    for (std::int64_t r = 0; r < rows; r++) {
      EXPECT_TRUE(
          bit_equal({same.row(r), std::size_t(dim)}, {one.data() + r * dim, std::size_t(dim)}));
      EXPECT_EQ(same.row(r)[-1], strided.row(r)[-1]);
      EXPECT_EQ(same.row(r)[dim], x[std::size_t(5 + r * stride + dim)]);
    }
    rms_norm(context(isa, 1), strided, view(weight, {dim}), 1e-6f, view(one, {rows, dim}));
    in_place = x;
    rms_norm(context(isa, 2), same, view(weight, {dim}), 1e-6f, same);
    EXPECT_TRUE(bit_equal({same.row(89), std::size_t(dim)}, {one.data() + 89 * dim, 577}));
  }
}

TEST(RmsNormHeads, EqualsRmsNormOfEveryHead) {
  for (const std::int64_t dim : {1, 24, 31, 64, 128}) {
    const std::int64_t rows = 9, heads = 5, stride = heads * dim + 13;
    const auto x = random_floats(rows * stride, 9, 0.2f, 2),
               weight = random_floats(dim, 10, 1, 0.5f);
    std::vector<Isa> isas = supported_isas();
    isas.push_back(Isa::reference);
    for (const Isa isa : isas) {
      std::vector<float> got = x, want = x;
      rms_norm_heads(context(isa, 3),
                     TensorView<float>(got.data(), {rows, heads * dim}, stride, "x"), heads,
                     view(weight, {dim}), 1e-6f);
      for (std::int64_t r = 0; r < rows; r++) {
        const TensorView<float> row(want.data() + r * stride, {heads, dim}, "row");
        rms_norm(context(isa, 1), row, view(weight, {dim}), 1e-6f, row);
      }
      EXPECT_TRUE(bit_equal(got, want)) << name(isa) << dim;
    }
  }
}

TEST(Norm, RefusesWrongShapes) {
  std::vector<float> x(12), w(4), y(12);
  const Context ctx = context(Isa::portable);
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        rms_norm(ctx, view(x, {3, 4}, "x"), view(w, {3}, "weight"), 0, view(y, {3, 4}));
      },
      {"rms_norm", "weight", "[3]", "[4]"}));
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        layer_norm(ctx, view(x, {12}, "x"), view(w, {4}), view(w, {4}), 0, view(y, {3, 4}));
      },
      {"layer_norm", "[rows, dim]"}));
}

}  // namespace
}  // namespace chiasm::kernels
