// Activations on every path against the reference in double, and alike in every lane and tail.
#include "kernels/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/reference/rows.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

constexpr double kUnit = 0x1p-24;
constexpr Activation kAll[] = {Activation::none, Activation::relu,      Activation::silu,
                               Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
                               Activation::tanh};

// A grid through every magnitude, and the corners.
std::vector<float> arguments() {
  std::vector<float> x = {0.0f,  -0.0f,  1e-30f, -1e-30f, 1e-40f, 87.0f,   -87.0f,
                          88.7f, -88.7f, 89.0f,  -104.0f, 200.0f, -200.0f, 1e30f};
  for (int i = -40000; i <= 40000; i++) x.push_back(float(i) * 0.000413f);
  const auto wide = random_floats(4000, 1, 0, 20);
  x.insert(x.end(), wide.begin(), wide.end());
  return x;
}

// Relative error allowed at x. The kernels have at most 8 roundings of their own besides exp's; an
// argument of exp that was itself rounded (2 sqrt(2/pi) (x + 0.044715 x^3), three roundings;
// 1.702 x, one) hands its absolute error on as a relative one.
double relative_bound(Activation act, double x) {
  const double own = 8 * kUnit;
  if (act == Activation::gelu_tanh) {
    return own + 4 * kUnit * std::fabs(1.5957691 * (x + 0.044715 * x * x * x));
  }
  if (act == Activation::quick_gelu) return own + 2 * kUnit * std::fabs(1.702 * x);
  return own;
}

TEST(Activation, MatchesReferenceOnEveryPath) {
  const std::vector<float> x = arguments();
  for (const Activation act : kAll) {
    std::vector<float> want = x;
    activate(context(Isa::reference), act, view(want, {std::int64_t(x.size())}));
    for (const Isa isa : supported_isas()) {
      std::vector<float> got = x;
      activate(context(isa), act, view(got, {std::int64_t(x.size())}));
      // Results below the smallest normal number keep fewer bits: |x| * 2^-126 absolute.
      EXPECT_TRUE(all_close(got, want,
                            [&](std::size_t i) {
                              return relative_bound(act, x[i]) * std::fabs(double(want[i])) +
                                     (1 + std::fabs(double(x[i]))) * 0x1p-125;
                            }))
          << name(isa) << ", activation " << int(act);
    }
  }
}

TEST(Activation, NanStaysNanAndPlusInfinityStays) {
  for (const Isa isa : supported_isas()) {
    for (const Activation act : kAll) {
      std::vector<float> x(37, std::numeric_limits<float>::quiet_NaN());
      x[5] = std::numeric_limits<float>::infinity();
      activate(context(isa), act, view(x, {37}));
      for (std::size_t i = 0; i < x.size(); i++) {
        if (i == 5) continue;
        EXPECT_TRUE(std::isnan(x[i])) << name(isa) << " " << int(act) << " at " << i;
      }
      const float end = act == Activation::tanh ? 1 : std::numeric_limits<float>::infinity();
      EXPECT_EQ(x[5], end) << name(isa) << " " << int(act);
    }
  }
}

TEST(Activation, EveryLaneTailAndCutGivesTheSameBits) {
  const auto values = random_floats(40000, 2, 0, 3);
  for (const Isa isa : supported_isas()) {
    for (const Activation act : kAll) {
      std::vector<float> whole = values;
      activate(context(isa, 3), act, view(whole, {40000}));
      for (const std::int64_t n : {0, 1, 7, 15, 16, 17, 33}) {
        std::vector<float> part(values.begin() + 3, values.begin() + 3 + n);
        activate(context(isa, 1), act, view(part, {1, n}));
        EXPECT_TRUE(bit_equal(part, {whole.data() + 3, std::size_t(n)})) << name(isa) << " " << n;
      }
    }
  }
}

TEST(Activation, StridedRowsLeaveTheRestAlone) {
  for (const Isa isa : supported_isas()) {
    std::vector<float> x = random_floats(5 * 20, 3), want = x;
    const TensorView<float> cols(x.data() + 2, {5, 13}, 20, "x");
    activate(context(isa), Activation::gelu, cols);
    for (std::size_t i = 0; i < x.size(); i++) {
      const bool inside = i % 20 >= 2 && i % 20 < 15;
      EXPECT_EQ(x[i] != want[i], inside) << name(isa) << " at " << i;
    }
  }
}

TEST(GatedActivation, MatchesReferenceAndTheSeparateActivation) {
  for (const std::int64_t n : {1, 5, 16, 1536}) {
    for (const std::int64_t rows : {0, 1, 7}) {
      const auto gate_up = random_floats(rows * 2 * n, 4, 0, 3);
      std::vector<float> want(std::size_t(rows * n));
      gated_activation(context(Isa::reference), Activation::silu, view(gate_up, {rows, 2 * n}),
                       view(want, {rows, n}));
      for (const Isa isa : supported_isas()) {
        std::vector<float> got(want.size()), separate = gate_up;
        gated_activation(context(isa), Activation::silu, view(gate_up, {rows, 2 * n}),
                         view(got, {rows, n}));
        EXPECT_TRUE(all_close(got, want, 9 * kUnit, 0x1p-125)) << name(isa);
        activate(context(isa), Activation::silu, view(separate, {rows, 2 * n}));
        for (std::int64_t i = 0; i < rows * n; i++) {
          const std::int64_t at = i / n * 2 * n + i % n;
          separate[std::size_t(i)] = separate[std::size_t(at)] * gate_up[std::size_t(at + n)];
        }
        separate.resize(got.size());
        EXPECT_TRUE(bit_equal(got, separate)) << name(isa);
      }
    }
  }
}

TEST(Activation, NamesOfTransformers) {
  EXPECT_EQ(activation_from_name("gelu_pytorch_tanh"), Activation::gelu_tanh);
  EXPECT_EQ(activation_from_name("silu"), Activation::silu);
  EXPECT_EQ(activation_from_name("gelu"), Activation::gelu);
  EXPECT_TRUE(throws<ModelError>([] { activation_from_name("swiglu"); }, {"swiglu", "quick_gelu"}));
}

TEST(Add, AddsRowsAndChecksShapes) {
  const auto x = random_floats(3 * 10, 5);
  std::vector<float> y = random_floats(3 * 7, 6);
  const std::vector<float> before = y;
  const Context ctx = context(Isa::portable);
  add(ctx, TensorView<const float>(x.data(), {3, 7}, 10, "x"), view(y, {3, 7}));
  for (std::size_t i = 0; i < y.size(); i++) EXPECT_EQ(y[i], before[i] + x[i / 7 * 10 + i % 7]);
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        add(ctx, view(x, {3, 10}), view(y, {3, 7}));
      },
      {"add", "[3, 10]", "[3, 7]"}));
}

TEST(Softcap, MatchesTheFormulaOnEveryPath) {
  const std::int64_t rows = 7, cols = 333, stride = 340;
  const auto x = random_floats(rows * stride, 11, 0, 60);
  for (const Isa isa : supported_isas()) {
    for (const float cap : {30.0f, 7.5f}) {
      std::vector<float> got = x;
      softcap(context(isa, 2), cap, TensorView<float>(got.data(), {rows, cols}, stride, "x"));
      for (std::int64_t i = 0; i < rows * stride; i++) {
        const double before = double(x[std::size_t(i)]);
        const double want =
            i % stride < cols ? double(cap) * std::tanh(before / double(cap)) : before;
        // The quotient's two roundings reach tanh at most undiminished; tanh has 3 ulp.
        EXPECT_NEAR(double(got[std::size_t(i)]), want, 12 * kUnit * std::fabs(want)) << name(isa);
      }
    }
  }
}

}  // namespace
}  // namespace chiasm::kernels
