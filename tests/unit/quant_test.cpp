// Quantized matrices: what packing keeps of the weights, linear on every instruction set against
// the reference in double, and bit for bit against itself with other numbers of rows and threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "core/error.h"
#include "core/isa.h"
#include "kernels/linear_layer.h"
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

constexpr double kUnit = 0x1p-24;  // unit roundoff of float32
constexpr std::int64_t kGroup = 32;
constexpr WeightFormat kFormats[] = {WeightFormat::q8, WeightFormat::q8_rows, WeightFormat::q4};

// Inputs that share a scale of activations.
std::int64_t activation_group(WeightFormat format) {
  return format == WeightFormat::q8_rows ? 128 : kGroup;
}

Matrix pack(const std::vector<float>& w, std::int64_t out, std::int64_t in, WeightFormat format) {
  const WeightRows rows{reinterpret_cast<const std::byte*>(w.data()), DType::f32, out};
  return Matrix::pack(context(Isa::portable), {&rows, 1}, in, format);
}

std::vector<float> row_of(const Matrix& w, std::int64_t output) {
  std::vector<float> row(static_cast<std::size_t>(w.in()));
  w.row(output, row.data());
  return row;
}

std::vector<float> run(const Context& ctx, const Matrix& w, const float* x, std::int64_t rows,
                       const Epilogue& epilogue = {}) {
  std::vector<float> y(static_cast<std::size_t>(rows * w.out()), 0.25f);
  linear(ctx, TensorView<const float>(x, {rows, w.in()}, "x"), w, epilogue,
         TensorView<float>(y.data(), {rows, w.out()}, "y"));
  return y;
}

// How far an output may lie from the product of the same weights with unrounded activations.
// An activation moves by at most half a step of its group, 127 steps being the group's largest
// magnitude. Beyond that each group adds three roundings and two sums (min and scale apart), of
// numbers no larger than three times the group's largest weight times sum |x|.
std::vector<double> bounds(const Matrix& w, const std::vector<float>& x, std::int64_t rows,
                           double steps) {
  std::vector<double> all;
  const std::int64_t group = activation_group(w.format());
  const double groups = double((w.in() + group - 1) / group);
  for (std::int64_t r = 0; r < rows; r++) {
    for (std::int64_t o = 0; o < w.out(); o++) {
      const auto weights = row_of(w, o);
      double total = 0;
      for (std::int64_t k = 0; k < w.in(); k += group) {
        double top = 0, largest = 0, sum_w = 0, sum_x = 0;
        for (std::int64_t i = k; i < std::min(k + group, w.in()); i++) {
          const double xi = std::fabs(double(x[std::size_t(r * w.in() + i)]));
          const double wi = std::fabs(double(weights[std::size_t(i)]));
          top = std::max(top, xi);
          largest = std::max(largest, wi);
          sum_w += wi;
          sum_x += xi;
        }
        total += steps * (1 + 1e-5) * top / 127 * sum_w +
                 (groups + 6) * 2 * kUnit * 3 * largest * (sum_x + top);
      }
      all.push_back(total);
    }
  }
  return all;
}

void check_against_reference(std::int64_t rows, std::int64_t out, std::int64_t in,
                             WeightFormat format) {
  const auto x = random_floats(rows * in, 2);
  const Matrix w = pack(random_floats(out * in, 1), out, in, format);
  const auto want = run(context(Isa::reference), w, x.data(), rows);
  const auto limit = bounds(w, x, rows, 0.5);
  for (const Isa isa : supported_isas()) {
    EXPECT_TRUE(all_close(run(context(isa), w, x.data(), rows), want,
                          [&](std::size_t i) { return limit[i]; }))
        << name(isa) << " format " << int(format) << " rows " << rows << " out " << out << " in "
        << in;
  }
}

TEST(Quant, MatchesTheReferenceForOddShapes) {
  for (const WeightFormat format : kFormats) {
    for (const std::int64_t out : {1, 16, 17, 33, 97}) {
      for (const std::int64_t in : {1, 31, 32, 33, 130, 416}) {
        for (const std::int64_t rows : {1, 2, 3, 4, 5, 13}) {
          check_against_reference(rows, out, in, format);
        }
      }
    }
  }
}

TEST(Quant, MatchesTheReferenceForRealShapes) {
  for (const WeightFormat format : kFormats) {
    check_against_reference(1, 960, 576, format);
    check_against_reference(13, 64, 1536, format);
    check_against_reference(30, 48, 768, format);
  }
}

// Activations that 8 bits hold exactly: then nothing but float32 rounding is left.
TEST(Quant, MultipliesIntegersExactly) {
  constexpr std::int64_t kRows = 15, kOut = 50, kIn = 320;
  std::mt19937 random(3);
  std::uniform_int_distribution<int> numbers(-127, 127);
  std::vector<float> x(kRows * kIn);
  for (std::size_t i = 0; i < x.size(); i++) {
    x[i] = float(i % kGroup == 7 ? 127 : numbers(random)) * 0x1p-6f;  // the scale becomes 2^-6
  }
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 4), kOut, kIn, format);
    const auto want = run(context(Isa::reference), w, x.data(), kRows);
    const auto limit = bounds(w, x, kRows, 0);
    for (const Isa isa : supported_isas()) {
      EXPECT_TRUE(all_close(run(context(isa), w, x.data(), kRows), want,
                            [&](std::size_t i) { return limit[i]; }))
          << name(isa) << " format " << int(format);
    }
  }
}

// The largest sums that 8 bits can make: where 16-bit sums of a careless path would saturate.
TEST(Quant, DoesNotSaturate) {
  constexpr std::int64_t kRows = 5, kOut = 33, kIn = 128;
  for (const WeightFormat format : kFormats) {
    for (const float sign : {-1.0f, 1.0f}) {
      std::vector<float> weights(kOut * kIn, sign);
      for (std::size_t i = 0; i < weights.size(); i += kGroup) weights[i] = 0;
      const std::vector<float> x(kRows * kIn, 127);
      const Matrix w = pack(weights, kOut, kIn, format);
      const auto want = run(context(Isa::reference), w, x.data(), kRows);
      const auto limit = bounds(w, x, kRows, 0);
      for (const Isa isa : supported_isas()) {
        EXPECT_TRUE(all_close(run(context(isa), w, x.data(), kRows), want,
                              [&](std::size_t i) { return limit[i]; }))
            << name(isa) << " format " << int(format);
      }
    }
  }
}

// A row gives the same bits alone, anywhere in a batch of any size, and with any threads.
TEST(Quant, IsBatchInvariantBitForBit) {
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

TEST(Quant, IsTheSameForAnyThreadsInLargeProducts) {
  constexpr std::int64_t kRows = 300, kOut = 70, kIn = 1030;
  const auto x = random_floats(kRows * kIn, 3);
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 4), kOut, kIn, format);
    for (const Isa isa : supported_isas()) {
      const auto one = run(context(isa, 1), w, x.data(), kRows);
      EXPECT_TRUE(bit_equal(run(context(isa, 2), w, x.data(), kRows), one));
      EXPECT_TRUE(bit_equal(run(context(isa, 3), w, x.data(), kRows), one));
    }
  }
}

// Strides, bias, activation and accumulation are those of every other format.
TEST(Quant, AppliesEpiloguesAndRowStrides) {
  constexpr std::int64_t kRows = 15, kOut = 40, kIn = 67, kXStride = 80, kYStride = 53;
  const auto wide = random_floats(kRows * kXStride, 5);
  std::vector<float> dense;
  for (std::int64_t r = 0; r < kRows; r++) {
    dense.insert(dense.end(), wide.begin() + r * kXStride, wide.begin() + r * kXStride + kIn);
  }
  const auto bias = random_floats(kOut, 6);
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 7), kOut, kIn, format);
    for (const Isa isa : supported_isas()) {
      auto want = run(context(isa), w, dense.data(), kRows, {bias.data()});
      activate(context(isa), Activation::silu, TensorView<float>(want.data(), {kRows, kOut}));
      std::vector<float> y(kRows * kYStride, 0.25f);
      linear(context(isa), TensorView<const float>(wide.data(), {kRows, kIn}, kXStride, "x"), w,
             {bias.data(), Activation::silu, true},
             TensorView<float>(y.data(), {kRows, kOut}, kYStride, "y"));
      for (std::int64_t r = 0; r < kRows; r++) {
        for (std::int64_t o = 0; o < kYStride; o++) {
          const float got = y[std::size_t(r * kYStride + o)];
          ASSERT_EQ(got, o < kOut ? 0.25f + want[std::size_t(r * kOut + o)] : 0.25f);
        }
      }
    }
  }
}

// What is not finite stays in its row and is not hidden by the narrowing.
TEST(Quant, KeepsRowsApart) {
  constexpr std::int64_t kRows = 14, kOut = 20, kIn = 70;
  auto x = random_floats(kRows * kIn, 13);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const WeightFormat format : kFormats) {
      const Matrix w = pack(random_floats(kOut * kIn, 14), kOut, kIn, format);
      for (const Isa isa : supported_isas()) {
        const auto clean = run(context(isa), w, x.data(), kRows);
        auto dirty = x;
        dirty[6 * kIn + 40] = bad;
        const auto got = run(context(isa), w, dirty.data(), kRows);
        for (std::int64_t r = 0; r < kRows; r++) {
          for (std::int64_t o = 0; o < kOut; o++) {
            const std::size_t i = std::size_t(r * kOut + o);
            if (r == 6) {
              EXPECT_FALSE(std::isfinite(got[i])) << name(isa);
            } else {
              EXPECT_EQ(got[i], clean[i]);
            }
          }
        }
      }
    }
  }
}

TEST(Quant, ZerosAndTinyActivationsGiveZeros) {
  constexpr std::int64_t kOut = 20, kIn = 64;
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(random_floats(kOut * kIn, 14), kOut, kIn, format);
    for (const Isa isa : supported_isas()) {
      for (const float tiny : {0.0f, 1e-40f, 1e-35f}) {
        for (const float y : run(context(isa), w, std::vector<float>(kIn, tiny).data(), 1)) {
          EXPECT_NEAR(y, 0, 1e-28);
        }
      }
    }
  }
}

// Half a step, the step being the range over 254: float16 scales add a relative 2^-11 of the
// number.
TEST(QuantMatrix, RowsLieWithinHalfAStep) {
  for (const WeightFormat format : {WeightFormat::q8, WeightFormat::q8_rows}) {
    for (const std::int64_t in : {1, 31, 32, 65, 130}) {
      const std::int64_t out = 17 * in % 49, group = format == WeightFormat::q8 ? kGroup : in;
      const auto weights = random_floats(out * in, 15);
      const Matrix q8 = pack(weights, out, in, format);
      EXPECT_EQ(q8.format(), format);
      for (std::int64_t i = 0; i < out * in; i++) {
        const std::int64_t o = i / in, k = i % in;
        float top = 0;
        for (std::int64_t j = k / group * group; j < std::min(in, (k / group + 1) * group); j++) {
          top = std::max(top, std::fabs(weights[std::size_t(o * in + j)]));
        }
        ASSERT_NEAR(row_of(q8, o)[std::size_t(k)], weights[std::size_t(i)],
                    double(top) / 254 * 1.001 + double(top) * 0x1p-11);
      }
    }
  }
}

double squared_error(const Matrix& w, const std::vector<float>& weights) {
  double sum = 0;
  for (std::int64_t o = 0; o < w.out(); o++) {
    const auto row = row_of(w, o);
    for (std::int64_t k = 0; k < w.in(); k++) {
      const double off = double(row[std::size_t(k)]) - weights[std::size_t(o * w.in() + k)];
      sum += off * off;
    }
  }
  return sum;
}

// The search must beat plain extremes: for normal numbers a step of range / 15 errs by step^2 / 12.
TEST(QuantMatrix, SearchesForLessError) {
  constexpr std::int64_t kOut = 64, kIn = 512;
  const auto weights = random_floats(kOut * kIn, 16);
  double plain = 0;
  for (std::size_t g = 0; g < weights.size(); g += kGroup) {
    const auto [low, high] = std::minmax_element(weights.begin() + std::ptrdiff_t(g),
                                                 weights.begin() + std::ptrdiff_t(g + kGroup));
    const float step = (*high - *low) / 15;
    for (std::size_t i = g; i < g + kGroup; i++) {
      const double off = double(std::round((weights[i] - *low) / step) * step + *low) - weights[i];
      plain += off * off;
    }
  }
  EXPECT_LT(squared_error(pack(weights, kOut, kIn, WeightFormat::q4), weights), 0.9 * plain);
  // 8 bits are 17 times finer than 4 over the same range: at least 100 times less error.
  EXPECT_LT(squared_error(pack(weights, kOut, kIn, WeightFormat::q8), weights), plain / 100);
}

TEST(QuantMatrix, KeepsConstantsAndNaN) {
  std::vector<float> weights(3 * kGroup, 0.5f);
  weights[kGroup] = std::numeric_limits<float>::quiet_NaN();
  std::fill(weights.begin() + 2 * kGroup, weights.end(), 0.0f);
  for (const WeightFormat format : kFormats) {
    const Matrix w = pack(weights, 3, kGroup, format);
    for (const float v : row_of(w, 0)) EXPECT_NEAR(v, 0.5f, 0.5f * 0x1p-11f);
    for (const float v : row_of(w, 1)) EXPECT_TRUE(std::isnan(v));
    for (const float v : row_of(w, 2)) EXPECT_EQ(v, 0);
  }
}

TEST(QuantMatrix, RefusesScalesBeyondFloat16) {
  std::vector<float> weights(kGroup, 1.0f);
  weights[3] = 1e9f;
  for (const WeightFormat format : {WeightFormat::q8, WeightFormat::q4}) {
    EXPECT_TRUE(throws<ModelError>([&] { pack(weights, 1, kGroup, format); }, {"beyond float16"}));
  }
}

// Blocks as a GGUF file holds them, with the value of each weight.
struct Blocks {
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

Blocks random_blocks(BlockType type, std::int64_t rows, std::int64_t in, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> scales(-0.1f, 0.1f);
  Blocks out;
  for (std::int64_t i = 0; i < rows * in / kGroup; i++) {
    const f16 d = to_f16(scales(random)), m = to_f16(scales(random));
    std::vector<std::byte> block(block_bytes(type));
    for (std::byte& b : block) b = std::byte(random());
    std::memcpy(block.data(), &d, 2);
    if (type == BlockType::q4_1) std::memcpy(block.data() + 2, &m, 2);
    for (std::int64_t k = 0; k < kGroup; k++) {
      if (type == BlockType::q8_0) {
        const auto q = static_cast<std::int8_t>(block[std::size_t(2 + k)]);
        out.values.push_back(to_float(d) * float(q));
        continue;
      }
      const std::size_t at = (type == BlockType::q4_1 ? 4 : 2) + std::size_t(k % 16);
      const int q = k < 16 ? int(block[at]) & 15 : int(block[at]) >> 4;
      out.values.push_back(type == BlockType::q4_1 ? to_float(d) * float(q) + to_float(m)
                                                   : to_float(d) * float(q - 8));
    }
    out.bytes.insert(out.bytes.end(), block.begin(), block.end());
  }
  return out;
}

TEST(QuantMatrix, HoldsBlocksExactly) {
  constexpr std::int64_t kOut = 37, kIn = 96;
  for (const BlockType type : {BlockType::q4_0, BlockType::q4_1, BlockType::q8_0}) {
    const Blocks blocks = random_blocks(type, kOut, kIn, 17);
    const BlockRows rows{blocks.bytes.data(), type, kOut};
    const Matrix w = Matrix::pack_blocks(context(Isa::portable), {&rows, 1}, kIn);
    EXPECT_EQ(w.format(), type == BlockType::q8_0 ? WeightFormat::q8 : WeightFormat::q4);
    for (std::int64_t o = 0; o < kOut; o++) {
      const auto row = row_of(w, o);
      // d * (q - 8) against d * q + (-8 d): both products are exact in float32, and so is the sum
      // (but for the sign of zero).
      EXPECT_TRUE(all_close(row, std::span(blocks.values).subspan(std::size_t(o * kIn), kIn), 0, 0))
          << "type " << int(type) << " row " << o;
    }
  }
}

TEST(QuantMatrix, UndoesInterleavedHeads) {
  constexpr std::int64_t kHead = 8, kHeads = 5, kIn = 32, kOther = 3;
  const Blocks q = random_blocks(BlockType::q4_1, kHead * kHeads, kIn, 18);
  const Blocks v = random_blocks(BlockType::q4_0, kOther, kIn, 19);
  const BlockRows parts[] = {{q.bytes.data(), BlockType::q4_1, kHead * kHeads, kHead},
                             {v.bytes.data(), BlockType::q4_0, kOther}};
  const Matrix w = Matrix::pack_blocks(context(Isa::portable), parts, kIn);
  ASSERT_EQ(w.out(), kHead * kHeads + kOther);
  for (std::int64_t o = 0; o < w.out(); o++) {
    const bool first = o < kHead * kHeads;
    const std::int64_t inside = o % kHead;
    const std::int64_t from =
        first ? o - inside + inside % (kHead / 2) * 2 + inside / (kHead / 2) : o - kHead * kHeads;
    const auto& values = first ? q.values : v.values;
    EXPECT_TRUE(all_close(
        row_of(w, o), std::span(values).subspan(std::size_t(from * kIn), std::size_t(kIn)), 0, 0));
  }
}

TEST(QuantMatrix, RefusesBlocksThatDoNotFit) {
  const std::vector<std::byte> bytes(4096);
  const Context ctx = context(Isa::portable);
  const BlockRows mixed[] = {{bytes.data(), BlockType::q4_0, 2},
                             {bytes.data(), BlockType::q8_0, 2}};
  EXPECT_TRUE(throws<ShapeError>([&] { Matrix::pack_blocks(ctx, mixed, 32); },
                                 {"q4_0 and of q8_0", "one matrix"}));
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        Matrix::pack_blocks(ctx, {mixed, 1}, 33);
      },
      {"33 inputs", "multiple of 32"}));
  const BlockRows odd{bytes.data(), BlockType::q4_0, 6, 4};
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        Matrix::pack_blocks(ctx, {&odd, 1}, 32);
      },
      {"6 rows interleaved by 4"}));
}

// Tensors of a file that mixes 4 bits, 8 bits and plain numbers in one product: widened, in their
// right order. Rows of the unit matrix bring the weights back.
TEST(QuantLayer, MixesFormats) {
  constexpr std::int64_t kHead = 8, kIn = 32;
  const Blocks q = random_blocks(BlockType::q4_1, 2 * kHead, kIn, 20);
  const Blocks v = random_blocks(BlockType::q8_0, kHead, kIn, 21);
  const auto plain = random_floats(kHead * kIn, 22);
  std::map<std::string, TensorEntry, std::less<>> tensors;
  tensors.emplace("q.weight",
                  TensorEntry{DType::u8, {2 * kHead, kIn}, q.bytes, BlockType::q4_1, kHead});
  tensors.emplace(
      "k.weight",
      TensorEntry{DType::f32, {kHead, kIn}, std::as_bytes(std::span(plain)), std::nullopt, kHead});
  tensors.emplace("v.weight", TensorEntry{DType::u8, {kHead, kIn}, v.bytes, BlockType::q8_0});
  const Checkpoint checkpoint = Checkpoint::of({}, "x.gguf", tensors);
  const Context ctx = context(Isa::reference);
  const LinearLayer layer(ctx, Weights(checkpoint), {{"q", 2 * kHead}, {"k", kHead}, {"v", kHead}},
                          kIn, false, WeightFormat::f32);
  std::vector<float> unit(kIn * kIn), y(kIn * 4 * kHead);
  for (std::size_t i = 0; i < kIn; i++) unit[i * kIn + i] = 1;
  layer(ctx, TensorView<const float>(unit.data(), {kIn, kIn}),
        TensorView<float>(y.data(), {kIn, 4 * kHead}));
  for (std::int64_t o = 0; o < 4 * kHead; o++) {
    const std::int64_t part = o / kHead, row = part < 2 ? o : o % kHead;
    const auto& values = part < 2 ? q.values : part == 2 ? plain : v.values;
    const std::int64_t from = part < 3 ? interleaved_row(row, kHead) : row;
    for (std::int64_t k = 0; k < kIn; k++) {
      ASSERT_EQ(y[std::size_t(k * 4 * kHead + o)], values[std::size_t(from * kIn + k)]);
    }
  }
}

}  // namespace
}  // namespace chiasm::kernels
