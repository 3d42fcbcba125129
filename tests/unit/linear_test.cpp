// linear on every instruction set against the reference in double, and bit for bit against itself
// with other numbers of rows and threads.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/isa.h"
#include "kernels/matrix.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using chiasm::testing::all_close;
using chiasm::testing::bit_equal;
using chiasm::testing::context;
using chiasm::testing::random_floats;
using chiasm::testing::throws;

constexpr double kUnit = 0x1p-24;     // unit roundoff of float32
constexpr double kBf16Unit = 0x1p-8;  // of bfloat16
constexpr WeightFormat kFormats[] = {WeightFormat::f32, WeightFormat::bf16, WeightFormat::f16};

bool narrows_activations(Isa isa, WeightFormat format) {
  return isa == Isa::avx512 && format == WeightFormat::bf16 && has_avx512_bf16();
}

const std::byte* bytes_of(const std::vector<float>& v) {
  return reinterpret_cast<const std::byte*>(v.data());
}

Matrix pack(const std::vector<float>& w, std::int64_t out, std::int64_t in, WeightFormat format) {
  const WeightRows rows{bytes_of(w), DType::f32, out};
  return Matrix::pack(context(Isa::portable), {&rows, 1}, in, format);
}

std::vector<float> run(const Context& ctx, const Matrix& w, const float* x, std::int64_t rows,
                       const Epilogue& epilogue = {}) {
  std::vector<float> y(static_cast<std::size_t>(rows * w.out()), 0.25f);
  linear(ctx, TensorView<const float>(x, {rows, w.in()}, "x"), w, epilogue,
         TensorView<float>(y.data(), {rows, w.out()}, "y"));
  return y;
}

// sum over k of |x[r, k]| |w[o, k]|: what rounding errors are proportional to.
std::vector<float> magnitudes(const Matrix& w, std::vector<float> x, std::int64_t rows) {
  std::vector<float> sums(static_cast<std::size_t>(rows * w.out()));
  std::vector<float> weights(static_cast<std::size_t>(w.in()));
  for (std::int64_t o = 0; o < w.out(); o++) {
    w.row(o, weights.data());
    for (std::int64_t r = 0; r < rows; r++) {
      double sum = 0;
      for (std::int64_t k = 0; k < w.in(); k++) {
        sum += std::fabs(double(x[std::size_t(r * w.in() + k)]) * weights[std::size_t(k)]);
      }
      sums[std::size_t(r * w.out() + o)] = float(sum);
    }
  }
  return sums;
}

struct Case {
  std::int64_t rows, out, in;
};

// Adding `in` products one after the other, each sum and (without FMA, or inside VDPBF16PS) each
// product rounded, errs by at most 2 * in * u * sum |x||w| to first order; the reference itself
// rounds once. Narrowed activations add half a unit of bfloat16 each.
double relative_bound(Isa isa, WeightFormat format, std::int64_t in) {
  return (2 * double(in) + 4) * kUnit + (narrows_activations(isa, format) ? kBf16Unit : 0);
}

void check_against_reference(const Case& c, WeightFormat format) {
  const auto weights = random_floats(c.out * c.in, 1);
  const auto x = random_floats(c.rows * c.in, 2);
  const Matrix w = pack(weights, c.out, c.in, format);
  const auto want = run(context(Isa::reference), w, x.data(), c.rows);
  const auto sums = magnitudes(w, x, c.rows);
  for (const Isa isa : supported_isas()) {
    const double bound = relative_bound(isa, format, c.in);
    EXPECT_TRUE(all_close(run(context(isa), w, x.data(), c.rows), want,
                          [&](std::size_t i) { return bound * double(sums[i]); }))
        << name(isa) << " format " << int(format) << " rows " << c.rows << " out " << c.out
        << " in " << c.in;
  }
}

TEST(Linear, MatchesTheReferenceForOddShapes) {
  for (const WeightFormat format : kFormats) {
    for (const std::int64_t out : {1, 7, 16, 17, 32, 33, 97}) {
      for (const std::int64_t in : {1, 2, 3, 31, 257}) {
        for (const std::int64_t rows : {1, 2, 5, 6, 7, 33}) {
          check_against_reference({rows, out, in}, format);
        }
      }
    }
  }
}

TEST(Linear, MatchesTheReferenceForRealShapes) {
  for (const WeightFormat format : kFormats) {
    for (const Case& c : {Case{1, 1540, 576}, Case{13, 64, 1000}, Case{3, 960, 576},
                          Case{121, 100, 600}, Case{40, 48, 3072}}) {
      check_against_reference(c, format);
    }
  }
}

TEST(Linear, NoRowsIsNoWork) {
  const Matrix w = pack(random_floats(20 * 10, 1), 20, 10, WeightFormat::f32);
  for (const Isa isa : supported_isas()) EXPECT_TRUE(run(context(isa), w, nullptr, 0).empty());
}

// A row gives the same bits alone, anywhere in a batch of any size, and with any threads.
TEST(Linear, IsBatchInvariantBitForBit) {
  constexpr std::int64_t kMostRows = 40, kOut = 100, kIn = 575;
  const auto x = random_floats(kMostRows * kIn, 3);
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 4), kOut, kIn, format);
    for (const Isa isa : supported_isas()) {
      std::vector<float> alone;
      for (std::int64_t r = 0; r < kMostRows; r++) {
        const auto row = run(context(isa, 1), w, x.data() + r * kIn, 1);
        alone.insert(alone.end(), row.begin(), row.end());
      }
      for (std::int64_t rows = 1; rows <= kMostRows; rows++) {
        const std::int64_t first = kMostRows - rows;
        const int threads = rows % 3 == 0 ? 1 : rows % 3 == 1 ? 2 : 3;
        const auto together = run(context(isa, threads), w, x.data() + first * kIn, rows);
        ASSERT_TRUE(bit_equal(together, std::span(alone).subspan(std::size_t(first * kOut))))
            << name(isa) << " format " << int(format) << " rows " << rows;
      }
    }
  }
}

// Large enough to be cut into several blocks of rows for each thread.
TEST(Linear, IsTheSameForAnyThreadsInLargeProducts) {
  constexpr std::int64_t kRows = 300, kOut = 70, kIn = 1030;
  const auto x = random_floats(kRows * kIn, 3);
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 4), kOut, kIn, format);
    for (const Isa isa : supported_isas()) {
      const auto one = run(context(isa, 1), w, x.data(), kRows);
      EXPECT_TRUE(bit_equal(run(context(isa, 2), w, x.data(), kRows), one));
      EXPECT_TRUE(bit_equal(run(context(isa, 3), w, x.data(), kRows), one));
      const auto last = run(context(isa, 2), w, x.data() + (kRows - 1) * kIn, 1);
      EXPECT_TRUE(bit_equal(last, std::span(one).last(std::size_t(kOut))));
    }
  }
}

// A few tiles of rows, which threads pack side by side, each in another order every time.
TEST(Linear, IsTheSameWhoeverPacksTheRows) {
  constexpr std::int64_t kRows = 80, kOut = 64, kIn = 1501;
  const auto x = random_floats(kRows * kIn, 3);
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 4), kOut, kIn, format);
    for (const Isa isa : supported_isas()) {
      const auto one = run(context(isa, 1), w, x.data(), kRows);
      for (int i = 0; i < 50; i++) {
        ASSERT_TRUE(bit_equal(run(context(isa, 2), w, x.data(), kRows), one)) << name(isa);
      }
    }
  }
}

// Columns of wider matrices on both sides; what lies beside them is not touched.
TEST(Linear, TakesRowStrides) {
  constexpr std::int64_t kRows = 15, kOut = 40, kIn = 67, kXStride = 80, kYStride = 53;
  const auto wide = random_floats(kRows * kXStride, 5);
  std::vector<float> dense;
  for (std::int64_t r = 0; r < kRows; r++) {
    dense.insert(dense.end(), wide.begin() + r * kXStride, wide.begin() + r * kXStride + kIn);
  }
  const auto bias = random_floats(kOut, 6);
  const Epilogue epilogue{bias.data(), Activation::silu, true};
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 7), kOut, kIn, format);
    for (const Isa isa : supported_isas()) {
      const auto want = run(context(isa), w, dense.data(), kRows, epilogue);
      std::vector<float> y(kRows * kYStride, 0.25f);
      linear(context(isa), TensorView<const float>(wide.data(), {kRows, kIn}, kXStride, "x"), w,
             epilogue, TensorView<float>(y.data(), {kRows, kOut}, kYStride, "y"));
      for (std::int64_t r = 0; r < kRows; r++) {
        const std::span row = std::span(y).subspan(std::size_t(r * kYStride), kYStride);
        EXPECT_TRUE(bit_equal(row.first(kOut),
                              std::span(want).subspan(std::size_t(r * kOut), std::size_t(kOut))));
        for (const float v : row.subspan(kOut)) EXPECT_EQ(v, 0.25f);
      }
    }
  }
}

TEST(Linear, AppliesEpilogues) {
  constexpr std::int64_t kRows = 14, kOut = 41, kIn = 64;
  const auto x = random_floats(kRows * kIn, 8);
  const auto bias = random_floats(kOut, 9);
  auto weights = random_floats(kOut * kIn, 10);
  for (float& v : weights) v *= 0.2f;  // sums of a few units: where activations bend
  const Matrix w = pack(weights, kOut, kIn, WeightFormat::f32);
  const auto sums = magnitudes(w, x, kRows);
  for (const Activation act :
       {Activation::none, Activation::relu, Activation::silu, Activation::gelu,
        Activation::gelu_tanh, Activation::quick_gelu, Activation::tanh}) {
    for (const bool biased : {false, true}) {
      for (const bool accumulate : {false, true}) {
        const Epilogue e{biased ? bias.data() : nullptr, act, accumulate};
        const auto want = run(context(Isa::reference), w, x.data(), kRows, e);
        for (const Isa isa : supported_isas()) {
          const auto got = run(context(isa), w, x.data(), kRows, e);
          // No slope of these functions is over 1.2; the function itself errs by a few units, near
          // zero relative to its argument's size.
          EXPECT_TRUE(all_close(
              got, want,
              [&](std::size_t i) {
                const double size = double(sums[i]) + std::fabs(double(bias[i % kOut])) + 1;
                return 1.2 * relative_bound(isa, WeightFormat::f32, kIn) * size + 16 * kUnit * size;
              }))
              << name(isa) << " activation " << int(act) << biased << accumulate;
        }
      }
    }
  }
}

// The fused activation gives the very bits of the separate one.
TEST(Linear, FusedActivationEqualsTheSeparateOne) {
  constexpr std::int64_t kRows = 13, kOut = 70, kIn = 96;
  const auto x = random_floats(kRows * kIn, 8);
  const auto bias = random_floats(kOut, 9);
  const Matrix w = pack(random_floats(kOut * kIn, 10), kOut, kIn, WeightFormat::bf16);
  for (const Isa isa : supported_isas()) {
    for (const Activation act : {Activation::silu, Activation::gelu, Activation::gelu_tanh}) {
      auto apart = run(context(isa), w, x.data(), kRows, {bias.data()});
      activate(context(isa), act, TensorView<float>(apart.data(), {kRows, kOut}));
      const auto fused = run(context(isa), w, x.data(), kRows, {bias.data(), act});
      EXPECT_TRUE(bit_equal(fused, apart)) << name(isa) << " activation " << int(act);
    }
  }
}

// A gated product gives the very bits of the product and the gating after it, for few rows, for
// many, and however they are shared.
TEST(Linear, GatesAsTheSeparateActivationDoes) {
  constexpr std::int64_t kInner = 96, kIn = 1100, kMostRows = 200;
  const auto x = random_floats(kMostRows * kIn, 8);
  const auto bias = random_floats(2 * kInner, 9);
  const auto weights = random_floats(2 * kInner * kIn, 10);
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16, WeightFormat::f16,
                                    WeightFormat::q8, WeightFormat::q8_rows, WeightFormat::q4}) {
    const Matrix w = pack(weights, 2 * kInner, kIn, format);
    for (const Isa isa : supported_isas()) {
      for (const std::int64_t rows : {std::int64_t(1), std::int64_t(13), kMostRows}) {
        const auto apart = run(context(isa), w, x.data(), rows, {bias.data()});
        std::vector<float> want(std::size_t(rows * kInner));
        const TensorView<float> y(want.data(), {rows, kInner}, "want");
        gated_activation(context(isa), Activation::silu,
                         TensorView<const float>(apart.data(), {rows, 2 * kInner}, "apart"), y);
        for (const int threads : {1, 2, 3}) {
          std::vector<float> got(want.size());
          linear(context(isa, threads), TensorView<const float>(x.data(), {rows, kIn}, "x"), w,
                 {bias.data(), Activation::silu, false, true},
                 TensorView<float>(got.data(), {rows, kInner}, "got"));
          EXPECT_TRUE(bit_equal(got, want))
              << name(isa) << " format " << format_name(format) << " rows " << rows;
        }
      }
    }
  }
}

TEST(Linear, RefusesGatesThatDoNotFit) {
  const Matrix w = pack(random_floats(96 * 8, 1), 96, 8, WeightFormat::f32);
  std::vector<float> x(8), y(48);
  const TensorView<const float> xv(x.data(), {1, 8}, "x");
  const TensorView<float> yv(y.data(), {1, 48}, "y");
  const Epilogue gated{nullptr, Activation::silu, false, true};
  EXPECT_TRUE(throws<ShapeError>([&] { linear(context(Isa::portable), xv, w, gated, yv); },
                                 {"96", "multiple of 64"}));
}

// Where activations narrow to bfloat16, they do so by rounding to nearest, ties to even.
TEST(Linear, NarrowsActivationsToNearestEven) {
  if (!narrows_activations(Isa::avx512, WeightFormat::bf16) || !supported(Isa::avx512)) {
    GTEST_SKIP() << "no AVX-512 BF16 on this machine";
  }
  constexpr std::int64_t kRows = 14, kOut = 33, kIn = 301;
  auto x = random_floats(kRows * kIn, 11);
  x[0] = std::bit_cast<float>(0x3f808000u);  // halfway, the even neighbour below
  x[1] = std::bit_cast<float>(0x3f818000u);  // halfway, the even neighbour above
  auto rounded = x;
  for (float& v : rounded) v = to_float(to_bf16(v));
  const Matrix w = pack(random_floats(kOut * kIn, 12), kOut, kIn, WeightFormat::bf16);
  EXPECT_TRUE(bit_equal(run(context(Isa::avx512), w, x.data(), kRows),
                        run(context(Isa::avx512), w, rounded.data(), kRows)));
  const auto want = run(context(Isa::reference), w, rounded.data(), kRows);
  const auto sums = magnitudes(w, rounded, kRows);
  EXPECT_TRUE(all_close(run(context(Isa::avx512), w, x.data(), kRows), want,
                        [&](std::size_t i) { return (2.0 * kIn + 4) * kUnit * double(sums[i]); }));
}

// What one row holds must not reach another: NaN and infinity stay in their row.
TEST(Linear, KeepsRowsApart) {
  constexpr std::int64_t kRows = 14, kOut = 20, kIn = 33;
  auto x = random_floats(kRows * kIn, 13);
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 14), kOut, kIn, format);
    for (const Isa isa : supported_isas()) {
      const auto clean = run(context(isa), w, x.data(), kRows);
      auto dirty = x;
      for (std::int64_t k = 0; k < kIn; k++) {
        dirty[std::size_t(6 * kIn + k)] = std::numeric_limits<float>::quiet_NaN();
      }
      const auto got = run(context(isa), w, dirty.data(), kRows);
      for (std::int64_t r = 0; r < kRows; r++) {
        for (std::int64_t o = 0; o < kOut; o++) {
          const std::size_t i = std::size_t(r * kOut + o);
          if (r == 6) {
            EXPECT_TRUE(std::isnan(got[i]));
          } else {
            EXPECT_EQ(got[i], clean[i]);
          }
        }
      }
    }
  }
}

TEST(Matrix, RowsAreExact) {
  for (const std::int64_t in : {1, 2, 31, 65, 130}) {
    for (const std::int64_t out : {1, 16, 17, 49}) {
      const auto weights = random_floats(out * in, 15);
      for (const WeightFormat format : kFormats) {
        const Matrix w = pack(weights, out, in, format);
        EXPECT_EQ(w.out(), out);
        EXPECT_EQ(w.in(), in);
        EXPECT_EQ(w.format(), format);
        EXPECT_GE(w.bytes(), std::size_t(out * in * (format == WeightFormat::f32 ? 4 : 2)));
        std::vector<float> row(static_cast<std::size_t>(in));
        for (std::int64_t o = 0; o < out; o++) {
          w.row(o, row.data());
          for (std::int64_t k = 0; k < in; k++) {
            float want = weights[std::size_t(o * in + k)];
            if (format == WeightFormat::bf16) want = to_float(to_bf16(want));
            if (format == WeightFormat::f16) want = to_float(to_f16(want));
            ASSERT_EQ(row[std::size_t(k)], want);
          }
        }
      }
    }
  }
}

TEST(Matrix, StacksPartsOfDifferentTypes) {
  constexpr std::int64_t kIn = 37;
  const auto values = random_floats(60 * kIn, 16);
  std::vector<bf16> narrow;
  std::vector<f16> half;
  for (std::int64_t i = 0; i < 20 * kIn; i++) {
    narrow.push_back(to_bf16(values[std::size_t(20 * kIn + i)]));
    half.push_back(to_f16(values[std::size_t(40 * kIn + i)]));
  }
  const WeightRows parts[] = {{bytes_of(values), DType::f32, 20},
                              {nullptr, DType::f32, 0},
                              {reinterpret_cast<const std::byte*>(narrow.data()), DType::bf16, 20},
                              {reinterpret_cast<const std::byte*>(half.data()), DType::f16, 20}};
  const Matrix w = Matrix::pack(context(Isa::portable, 3), parts, kIn, WeightFormat::f32);
  ASSERT_EQ(w.out(), 60);
  std::vector<float> row(kIn);
  for (std::int64_t o = 0; o < 60; o++) {
    w.row(o, row.data());
    for (std::int64_t k = 0; k < kIn; k++) {
      const std::size_t i = std::size_t(o * kIn + k);
      const float want = o < 20   ? values[i]
                         : o < 40 ? to_float(narrow[i - 20 * kIn])
                                  : to_float(half[i - 40 * kIn]);
      ASSERT_EQ(row[std::size_t(k)], want) << o << " " << k;
    }
  }
}

TEST(Matrix, RefusesWhatCannotBePacked) {
  const std::int32_t integers[4] = {1, 2, 3, 4};
  const WeightRows bad{reinterpret_cast<const std::byte*>(integers), DType::i32, 2};
  const Context ctx = context(Isa::portable);
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        Matrix::pack(ctx, {&bad, 1}, 2, WeightFormat::f32);
      },
      {"int32", "expected float32"}));
  const WeightRows empty{nullptr, DType::f32, 0};
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        Matrix::pack(ctx, {&empty, 1}, 0, WeightFormat::f32);
      },
      {"0 inputs"}));
  EXPECT_EQ(Matrix::pack(ctx, {&empty, 1}, 4, WeightFormat::f32).out(), 0);
}

TEST(Linear, RefusesShapesThatDisagree) {
  const Matrix w = pack(random_floats(6 * 4, 17), 6, 4, WeightFormat::f32);
  std::vector<float> x(10), y(12);
  const Context ctx = context(Isa::portable);
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        linear(ctx, TensorView<const float>(x.data(), {2, 5}, "x"), w, {},
               TensorView<float>(y.data(), {2, 6}, "y"));
      },
      {"linear: x", "[2, 5]", "[2, 4]"}));
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        linear(ctx, TensorView<const float>(x.data(), {2, 4}, "x"), w, {},
               TensorView<float>(y.data(), {3, 4}, "y"));
      },
      {"linear: y", "[3, 4]", "[2, 6]"}));
}

}  // namespace
}  // namespace chiasm::kernels
