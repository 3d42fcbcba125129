// Low-rank adapters beside a layer's own product, row by row.
#include "kernels/adapter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/isa.h"
#include "kernels/linear_layer.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/support/random_checkpoint.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

constexpr std::int64_t kIn = 37, kFirst = 32, kSecond = 32, kRank = 3;
constexpr std::int64_t kOut = kFirst + kSecond;

/// Two modules side by side, the second of which an adapter changes.
struct Problem {
  explicit Problem(Isa isa) : ctx(context(isa)) {
    file.add("gate.weight", {kFirst, kIn});
    file.add("gate.bias", {kFirst});
    file.add("up.weight", {kSecond, kIn});
    file.add("up.bias", {kSecond});
    layer = LinearLayer(ctx, file.weights(), {{"gate", kFirst}, {"up", kSecond}}, kIn, true,
                        WeightFormat::f32);
    const WeightRows a{reinterpret_cast<const std::byte*>(down.data()), DType::f32, kRank};
    const WeightRows b{reinterpret_cast<const std::byte*>(up.data()), DType::f32, kSecond};
    adapter.add(0, {Matrix::pack(ctx, {&a, 1}, kIn, WeightFormat::f32),
                    Matrix::pack(ctx, {&b, 1}, kRank, WeightFormat::f32), kFirst});
  }

  Context ctx;
  RandomCheckpoint file;
  LinearLayer layer;
  std::vector<float> down = random_floats(kRank * kIn, 11), up = random_floats(kSecond * kRank, 12);
  Adapter adapter;
  Arena arena;
};

/// One of the layer's ways to be called.
enum class Call { plain, activated, gated, accumulated };

std::vector<float> run(Problem& p, const AdaptedRows* adapted, std::int64_t rows, Call call,
                       std::int64_t from = 0) {
  const auto all = random_floats(16 * kIn, 3);
  const std::vector<float> x(all.begin() + from * kIn, all.begin() + (from + rows) * kIn);
  const std::int64_t cols = call == Call::gated ? kOut / 2 : kOut;
  std::vector<float> y(std::size_t(rows * cols), 0.5f);
  Context ctx = p.ctx;
  ctx.adapted = adapted;
  const auto in = view(x, {rows, kIn});
  const auto out = view(y, {rows, cols});
  switch (call) {
    case Call::plain:
      p.layer(ctx, in, out);
      break;
    case Call::activated:
      p.layer(ctx, in, out, Activation::gelu_tanh);
      break;
    case Call::gated:
      p.layer.gated(ctx, in, Activation::silu, p.arena, out);
      break;
    case Call::accumulated:
      p.layer.accumulate(ctx, in, out);
      break;
  }
  return y;
}

class AdapterRows : public ::testing::TestWithParam<Isa> {};

TEST_P(AdapterRows, AreThoseOfTheMergedMatrix) {
  Problem p(GetParam());
  AdaptedRows adapted;
  adapted.all = &p.adapter;
  adapted.arena = &p.arena;
  const std::int64_t rows = 5;
  const auto y = run(p, &adapted, rows, Call::plain), x = random_floats(16 * kIn, 3);
  for (std::int64_t r = 0; r < rows; r++) {
    for (std::int64_t o = 0; o < kOut; o++) {
      const bool second = o >= kFirst;
      const std::int64_t j = second ? o - kFirst : o;
      const std::string name = second ? "up" : "gate";
      double want = p.file.values(name + ".bias")[std::size_t(j)], size = std::fabs(want);
      for (std::int64_t i = 0; i < kIn; i++) {
        double weight = p.file.values(name + ".weight")[std::size_t(j * kIn + i)];
        double largest = std::fabs(weight);
        for (std::int64_t k = 0; second && k < kRank; k++) {
          const double term =
              double(p.up[std::size_t(j * kRank + k)]) * double(p.down[std::size_t(k * kIn + i)]);
          weight += term;
          largest += std::fabs(term);
        }
        want += weight * double(x[std::size_t(r * kIn + i)]);
        size += largest * std::fabs(double(x[std::size_t(r * kIn + i)]));
      }
      // 37 terms of the one product, 37 and 3 of the others, each rounded and added once.
      EXPECT_NEAR(double(y[std::size_t(r * kOut + o)]), want, 80 * 0x1p-24 * size)
          << r << ", " << o;
    }
  }
}

/// A row's bits depend on nothing beside it: neither on whether others are adapted, nor on how
/// many.
TEST_P(AdapterRows, StandBesideOthersUnchanged) {
  Problem p(GetParam());
  for (const Call call : {Call::plain, Call::activated, Call::gated, Call::accumulated}) {
    for (const std::int64_t rows : {1, 2, 5, 9, 16}) {
      AdaptedRows adapted;
      adapted.arena = &p.arena;
      adapted.rows = rows;
      const std::int64_t begin = rows / 3, count = std::max<std::int64_t>(1, rows / 2);
      adapted.runs = {{begin, count, &p.adapter}};
      const auto mixed = run(p, &adapted, rows, call), bare = run(p, nullptr, rows, call);
      AdaptedRows one;
      one.all = &p.adapter;
      one.arena = &p.arena;
      const auto cols = mixed.size() / std::size_t(rows);
      for (std::int64_t r = 0; r < rows; r++) {
        const bool inside = r >= begin && r < begin + count;
        const auto alone = inside ? run(p, &one, 1, call, r) : run(p, nullptr, 1, call, r);
        const auto at = mixed.begin() + std::ptrdiff_t(std::size_t(r) * cols);
        const std::vector<float> row(at, at + std::ptrdiff_t(cols));
        EXPECT_TRUE(bit_equal(row, alone)) << int(call) << ", row " << r << " of " << rows;
        const auto was = bare.begin() + std::ptrdiff_t(std::size_t(r) * cols);
        EXPECT_EQ(inside, !std::equal(row.begin(), row.end(), was)) << int(call) << ", row " << r;
      }
    }
  }
}

TEST_P(AdapterRows, OfAnotherBatchAreRefused) {
  Problem p(GetParam());
  AdaptedRows adapted;
  adapted.arena = &p.arena;
  adapted.rows = 4;
  adapted.runs = {{0, 4, &p.adapter}};
  EXPECT_TRUE(throws<ShapeError>([&] { run(p, &adapted, 5, Call::plain); }, {"5 rows", "4"}));
}

INSTANTIATE_TEST_SUITE_P(Isas, AdapterRows, ::testing::ValuesIn(supported_isas()),
                         [](const auto& test) { return std::string(name(test.param)); });

}  // namespace
}  // namespace chiasm::kernels
