// Rotary embedding on every path against the reference in double.
#include "kernels/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

constexpr double kUnit = 0x1p-24;

struct Size {
  std::int64_t heads, head_dim, half;
};

TEST(RotateHalf, MatchesReferenceOnEveryPath) {
  for (const Size s :
       {Size{1, 2, 1}, Size{3, 64, 32}, Size{2, 80, 13}, Size{9, 64, 32}, Size{2, 256, 128}}) {
    for (const std::int64_t rows : {0, 1, 6}) {
      const std::int64_t width = s.heads * s.head_dim, stride = width + 11;
      const auto x = random_floats(rows * stride + width, 1);
      const auto cosine = random_floats(rows * s.half, 2), sine = random_floats(rows * s.half, 3);
      const auto run = [&](Isa isa, std::vector<float>& values) {
        rotate_half(context(isa), TensorView<float>(values.data(), {rows, width}, stride, "x"),
                    s.heads, s.head_dim, view(cosine, {rows, s.half}), view(sine, {rows, s.half}));
      };
      std::vector<float> want = x;
      run(Isa::reference, want);
      for (const Isa isa : supported_isas()) {
        std::vector<float> got = x;
        run(isa, got);
        // Two products and a difference, each rounded: 2 units of |a c| + |b s|, all below 6.
        EXPECT_TRUE(all_close(got, want, 0, 2 * kUnit * 2 * 36)) << name(isa);
        EXPECT_TRUE(bit_equal({got.data() + rows * stride, std::size_t(width)},
                              {x.data() + rows * stride, std::size_t(width)}));
      }
    }
  }
}

TEST(RotateHalf, LeavesDimensionsBeyondTheRotaryOnes) {
  std::vector<float> x = random_floats(80, 4), before = x;
  const auto cosine = random_floats(16, 5), sine = random_floats(16, 6);
  rotate_half(context(best_isa()), view(x, {1, 80}), 2, 40, view(cosine, {1, 16}),
              view(sine, {1, 16}));
  for (std::size_t i = 0; i < x.size(); i++) EXPECT_EQ(x[i] != before[i], i % 40 < 32) << i;
}

TEST(RotaryTable, IsWithinOneUlpOfTheAngleInFloat) {
  std::vector<std::int32_t> position;
  for (int i = 0; i < 70; i++) position.push_back(i * i * 27);
  std::vector<float> inv_freq;
  for (int i = 0; i < 32; i++) inv_freq.push_back(1.0f / float(std::pow(1e5, double(i) / 32)));
  std::vector<float> cosine(70 * 32), sine(70 * 32);
  rotary_table(context(best_isa()), position, inv_freq, {}, 1, view(cosine, {70, 32}),
               view(sine, {70, 32}));
  std::vector<float> want_cosine, want_sine;
  for (const std::int32_t p : position) {
    for (const float f : inv_freq) {
      const float angle = float(p) * f;  // rounded to float32, as transformers does
      want_cosine.push_back(float(std::cos(double(angle))));
      want_sine.push_back(float(std::sin(double(angle))));
    }
  }
  EXPECT_TRUE(all_close(cosine, want_cosine, 2 * kUnit, 0));
  EXPECT_TRUE(all_close(sine, want_sine, 2 * kUnit, 0));
  std::vector<float> scaled(70 * 32);
  rotary_table(context(best_isa()), position, inv_freq, {}, 0.5f, view(scaled, {70, 32}),
               view(sine, {70, 32}));
  for (std::size_t i = 0; i < scaled.size(); i++) EXPECT_EQ(scaled[i], 0.5f * cosine[i]);
}

TEST(RotaryTable, TurnsEachPairByItsAxis) {
  const std::int64_t rows = 5, half = 7;
  const std::vector<std::int32_t> position = {0, 3, 9, 4, 11, 2, 2, 5, 80, 1, 7, 0, 6, 33, 8};
  const std::vector<std::uint8_t> axis = {0, 2, 1, 1, 0, 2, 2};
  const auto inv_freq = random_floats(half, 12, 0.5f, 0.4f);
  std::vector<float> cosine(35), sine(35), want_cosine(35), want_sine(35);
  rotary_table(context(best_isa()), position, inv_freq, axis, 2, view(cosine, {rows, half}),
               view(sine, {rows, half}));
  for (std::int64_t i = 0; i < half; i++) {
    const std::int64_t a = axis[std::size_t(i)];
    const std::span<const std::int32_t> own(position.data() + a * rows, std::size_t(rows));
    std::vector<float> c(5), s(5);
    rotary_table(context(best_isa()), own, {&inv_freq[std::size_t(i)], 1}, {}, 2,
                 view(c, {rows, 1}), view(s, {rows, 1}));
    for (std::int64_t r = 0; r < rows; r++) {
      want_cosine[std::size_t(r * half + i)] = c[std::size_t(r)];
      want_sine[std::size_t(r * half + i)] = s[std::size_t(r)];
    }
  }
  EXPECT_TRUE(bit_equal(cosine, want_cosine));
  EXPECT_TRUE(bit_equal(sine, want_sine));
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        rotary_table(context(best_isa()), {position.data(), 10}, inv_freq, axis, 1,
                     view(cosine, {rows, half}), view(sine, {rows, half}));
      },
      {"rotary_table", "10 positions", "3 axes"}));
}

TEST(RotateHalf, RefusesWrongShapes) {
  std::vector<float> x(32), table(32);
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        rotate_half(context(Isa::portable), view(x, {1, 32}), 2, 16, view(table, {1, 9}, "cosine"),
                    view(table, {1, 9}));
      },
      {"rotate_half", "cosine", "[1, 9]", "16"}));
}

}  // namespace
}  // namespace chiasm::kernels
