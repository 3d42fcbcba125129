// The state space against its formulas in double, whole and in pieces.
#include "kernels/state_space.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "kernels/short_convolution.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;
using Floats = std::vector<float>;

TEST(StateSpace, StepsAndDecays) {
  constexpr std::int64_t rows = 7, heads = 5;
  const Floats bias = random_floats(heads, 1);
  Floats rates = random_floats(heads, 2);
  for (float& rate : rates) rate = std::exp(rate);
  Floats given = random_floats(rows * heads, 3);
  for (std::size_t i = 0; i < given.size(); i++) given[i] *= float(i);  // some over 20
  constexpr float kMost = std::numeric_limits<float>::infinity();
  for (const auto& [least, most] : {std::pair(0.0f, kMost), std::pair(0.25f, 1.5f)}) {
    Floats step = given, decay(given.size());
    state_space_steps(context(best_isa()), view(bias, {heads}), view(rates, {heads}), {least, most},
                      view(step, {rows, heads}), view(decay, {rows, heads}));
    for (std::size_t i = 0; i < given.size(); i++) {
      const std::size_t h = i % std::size_t(heads);
      const double sum = double(given[i] + bias[h]);
      const double want = std::clamp(std::log1p(std::exp(sum)), double(least), double(most));
      EXPECT_NEAR(double(step[i]), want, 4 * 0x1p-24 * want) << i;
      const double rate = double(rates[h]) * want;
      // The exponent is rounded twice before it is taken.
      EXPECT_NEAR(double(decay[i]), std::exp(-rate), (4 * rate + 2) * 0x1p-24 * std::exp(-rate));
    }
  }
}

struct Scan {
  std::int64_t rows, heads, head_dim, groups, size;
  Floats x, b, c, step, decay, skip, state;

  Scan(std::int64_t r, std::int64_t h, std::int64_t d, std::int64_t g, std::int64_t n)
      : rows(r),
        heads(h),
        head_dim(d),
        groups(g),
        size(n),
        x(random_floats(r * h * d, 1)),
        b(random_floats(r * g * n, 2)),
        c(random_floats(r * g * n, 3)),
        step(random_floats(r * h, 4)),
        decay(random_floats(r * h, 5)),
        skip(random_floats(h, 6)),
        state(random_floats(h * d * n, 7)) {
    for (float& f : step) f = std::fabs(f);
    for (float& f : decay) f = std::exp(-std::fabs(f));
  }

  /// Takes rows [first, first + count) on from `carried`.
  void run(std::int64_t first, std::int64_t count, int threads, Floats& carried, Floats& y) const {
    const auto rows_of = [&](const Floats& all, std::int64_t cols) {
      return view(all, {rows, cols}).slice_rows(first, count);
    };
    state_space_scan(context(best_isa(), threads), groups, rows_of(x, heads * head_dim),
                     rows_of(b, groups * size), rows_of(c, groups * size), rows_of(step, heads),
                     rows_of(decay, heads), view(skip, {heads}),
                     view(carried, {heads * head_dim, size}),
                     view(y, {rows, heads * head_dim}).slice_rows(first, count));
  }
};

TEST(StateSpace, ScanMatchesTheFormula) {
  for (const auto& [rows, heads, head_dim, groups, size] :
       {std::array<std::int64_t, 5>{1, 1, 1, 1, 1},
        {3, 4, 5, 2, 7},
        {40, 6, 8, 3, 33},
        {9, 2, 64, 1, 128},
        {0, 2, 4, 2, 8}}) {
    const Scan s(rows, heads, head_dim, groups, size);
    Floats state = s.state, y(s.x.size());
    s.run(0, rows, 2, state, y);
    for (std::int64_t i = 0; i < heads * head_dim; i++) {
      const std::int64_t h = i / head_dim, first = h / (heads / groups) * size;
      std::vector<double> carried, size_of;
      for (std::int64_t n = 0; n < size; n++) {
        carried.push_back(double(s.state[std::size_t(i * size + n)]));
        size_of.push_back(std::fabs(carried.back()));
      }
      for (std::int64_t r = 0; r < rows; r++) {
        const double in = double(s.x[std::size_t(r * heads * head_dim + i)]);
        const double step = double(s.step[std::size_t(r * heads + h)]);
        const double decay = double(s.decay[std::size_t(r * heads + h)]);
        double out = double(s.skip[std::size_t(h)]) * in, bound = std::fabs(out);
        for (std::size_t n = 0; n < std::size_t(size); n++) {
          const std::size_t at = std::size_t(r * groups * size + first) + n;
          carried[n] = decay * carried[n] + step * in * double(s.b[at]);
          size_of[n] = decay * size_of[n] + std::fabs(step * in * double(s.b[at]));
          out += carried[n] * double(s.c[at]);
          bound += size_of[n] * std::fabs(double(s.c[at]));
        }
        // Four roundings a row on the way of a state, and one for each term of the sum.
        const double u = double(4 * (r + 1) + size + 4) * 0x1p-24;
        EXPECT_NEAR(double(y[std::size_t(r * heads * head_dim + i)]), out, u * bound);
      }
      for (std::size_t n = 0; n < std::size_t(size); n++) {
        EXPECT_NEAR(double(state[std::size_t(i * size) + n]), carried[n],
                    double(4 * rows + 1) * 0x1p-24 * size_of[n]);
      }
    }
  }
}

TEST(StateSpace, PiecesAndThreadsChangeNoBit) {
  const Scan s(29, 6, 8, 3, 33);
  Floats whole_state = s.state, whole(s.x.size());
  s.run(0, s.rows, 1, whole_state, whole);
  for (const std::int64_t piece : {1, 4, 13}) {
    Floats state = s.state, y(s.x.size());
    for (std::int64_t r = 0; r < s.rows; r += piece) {
      s.run(r, std::min(piece, s.rows - r), 3, state, y);
    }
    EXPECT_TRUE(bit_equal(y, whole)) << piece;
    EXPECT_TRUE(bit_equal(state, whole_state)) << piece;
  }
}

TEST(StateSpace, RefusesShapesThatDoNotFit) {
  const Scan s(3, 4, 5, 2, 7);
  Floats state = s.state, y(s.x.size());
  const auto run = [&](std::int64_t groups, const Shape& b) {
    state_space_scan(context(best_isa()), groups, view(s.x, {3, 20}), view(s.b, b),
                     view(s.c, {3, 14}), view(s.step, {3, 4}), view(s.decay, {3, 4}),
                     view(s.skip, {4}), view(state, {20, 7}), view(y, {3, 20}));
  };
  EXPECT_TRUE(throws<ShapeError>([&] { run(3, {3, 14}); }, {"4 heads in 3 groups"}));
  EXPECT_TRUE(throws<ShapeError>([&] { run(2, {2, 21}); }, {"[2, 21]", "[3, 14]"}));
}

TEST(StateSpace, ItsConvolutionIsTheOneBetweenOpenGates) {
  constexpr std::int64_t rows = 11, dim = 19, taps = 4;
  const Floats x = random_floats(rows * dim, 1), weight = random_floats(taps * dim, 2),
               bias = random_floats(dim, 3), before = random_floats((taps - 1) * dim, 4);
  Floats bgx(std::size_t(rows * 3 * dim), 1.0f);
  for (std::int64_t r = 0; r < rows; r++) {
    std::copy_n(x.data() + r * dim, dim, bgx.data() + r * 3 * dim + 2 * dim);
  }
  Floats one = before, two = before, y(x.size()), gated(x.size());
  short_convolution(context(best_isa(), 2), view(x, {rows, dim}), view(weight, {taps, dim}),
                    bias.data(), view(one, {taps - 1, dim}), view(y, {rows, dim}));
  gated_short_convolution(context(best_isa()), view(bgx, {rows, 3 * dim}),
                          view(weight, {taps, dim}), bias.data(), view(two, {taps - 1, dim}),
                          view(gated, {rows, dim}));
  EXPECT_TRUE(bit_equal(y, gated));
  EXPECT_TRUE(bit_equal(one, two));
}

}  // namespace
}  // namespace chiasm::kernels
