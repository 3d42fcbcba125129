// The gated convolution on every path against the formula in double, whole and in pieces.
#include "kernels/short_convolution.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

struct Problem {
  std::int64_t rows, dim, taps;
  std::vector<float> bgx, weight, bias, history;

  Problem(std::int64_t r, std::int64_t d, std::int64_t t)
      : rows(r),
        dim(d),
        taps(t),
        bgx(random_floats(r * 3 * d, 1)),
        weight(random_floats(t * d, 2)),
        bias(random_floats(d, 3)),
        history(random_floats((t - 1) * d, 4)) {}

  double product(std::int64_t r, std::int64_t c) const {
    if (r < 0) return double(history[std::size_t((taps - 1 + r) * dim + c)]);
    const std::size_t at = std::size_t(r * 3 * dim + c);
    return double(bgx[at]) * double(bgx[at + std::size_t(2 * dim)]);
  }
};

TEST(ShortConvolution, MatchesTheFormulaOnEveryPath) {
  for (const auto& [rows, dim, taps] : {std::array<std::int64_t, 3>{1, 1, 1},
                                        {1, 31, 3},
                                        {2, 48, 4},
                                        {7, 17, 3},
                                        {90, 129, 5},
                                        {0, 8, 3}}) {
    const Problem p(rows, dim, taps);
    for (const bool biased : {false, true}) {
      for (const Isa isa : supported_isas()) {
        std::vector<float> history = p.history, y(std::size_t(rows * dim));
        gated_short_convolution(context(isa, 2), view(p.bgx, {rows, 3 * dim}),
                                view(p.weight, {taps, dim}), biased ? p.bias.data() : nullptr,
                                view(history, {taps - 1, dim}), view(y, {rows, dim}));
        for (std::int64_t r = 0; r < rows; r++) {
          for (std::int64_t c = 0; c < dim; c++) {
            const double gate = double(p.bgx[std::size_t(r * 3 * dim + dim + c)]);
            double sum = biased ? double(p.bias[std::size_t(c)]) : 0, size = std::fabs(sum);
            for (std::int64_t j = 0; j < taps; j++) {
              const double w = double(p.weight[std::size_t(j * dim + c)]);
              sum += w * p.product(r - taps + 1 + j, c);
              size += std::fabs(w * p.product(r - taps + 1 + j, c));
            }
            // Two products and at most `taps` sums, each rounded, and the gate.
            const double bound = double(taps + 4) * 0x1p-24 * size * std::fabs(gate);
            EXPECT_NEAR(double(y[std::size_t(r * dim + c)]), gate * sum, bound) << name(isa);
          }
        }
        for (std::int64_t j = 0; j < taps - 1; j++) {
          for (std::int64_t c = 0; c < dim; c++) {
            EXPECT_EQ(history[std::size_t(j * dim + c)], float(p.product(rows - taps + 1 + j, c)));
          }
        }
      }
    }
  }
}

TEST(ShortConvolution, PiecesGiveTheSameBits) {
  const Problem p(40, 37, 4);
  std::vector<float> whole(40 * 37), history = p.history;
  gated_short_convolution(context(best_isa()), view(p.bgx, {40, 111}), view(p.weight, {4, 37}),
                          p.bias.data(), view(history, {3, 37}), view(whole, {40, 37}));
  for (const std::int64_t step : {1, 2, 3, 11}) {
    std::vector<float> pieces(40 * 37), kept = p.history;
    const TensorView<const float> bgx(p.bgx.data(), {40, 111}, "bgx");
    const TensorView<float> y(pieces.data(), {40, 37}, "y");
    for (std::int64_t r = 0; r < 40; r += step) {
      const std::int64_t n = std::min<std::int64_t>(step, 40 - r);
      gated_short_convolution(context(best_isa(), 3), bgx.slice_rows(r, n), view(p.weight, {4, 37}),
                              p.bias.data(), view(kept, {3, 37}), y.slice_rows(r, n));
    }
    EXPECT_TRUE(bit_equal(pieces, whole)) << step;
    EXPECT_TRUE(bit_equal(kept, history)) << step;
  }
}

TEST(ShortConvolution, RefusesWrongShapes) {
  Problem p(4, 8, 3);
  std::vector<float> y(32);
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        gated_short_convolution(context(best_isa()), view(p.bgx, {4, 24}), view(p.weight, {3, 8}),
                                nullptr, view(p.history, {1, 16}, "history"), view(y, {4, 8}));
      },
      {"gated_short_convolution", "history"}));
}

}  // namespace
}  // namespace chiasm::kernels
