// GGUF's blocks: their values against the gguf package's bit for bit, and products with blocks that
// are widened on the way, on every instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/isa.h"
#include "core/safetensors.h"
#include "kernels/linear_layer.h"
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

constexpr BlockType kTypes[] = {BlockType::q4_0, BlockType::q4_1, BlockType::q5_0,
                                BlockType::q5_1, BlockType::q8_0, BlockType::iq4_nl,
                                BlockType::q2_k, BlockType::q3_k, BlockType::q4_k,
                                BlockType::q5_k, BlockType::q6_k};
constexpr BlockType kWidened[] = {BlockType::q5_1, BlockType::q2_k, BlockType::q3_k,
                                  BlockType::q4_k, BlockType::q5_k, BlockType::q6_k};

std::vector<float> row_of(const Matrix& w, std::int64_t output) {
  std::vector<float> row(std::size_t(w.in()));
  w.row(output, row.data());
  return row;
}

struct Golden {
  Golden() {
    std::ifstream file(std::string(CHIASM_SOURCE_DIR) + "/tests/golden/gguf/blocks.safetensors",
                       std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
    tensors = parse_safetensors(std::as_bytes(std::span(bytes)), "blocks.safetensors");
  }
  const TensorEntry& at(BlockType type, const std::string& what) const {
    return tensors.at(std::string(name(type)) + what);
  }
  std::vector<char> bytes;
  std::map<std::string, TensorEntry, std::less<>> tensors;
};

TEST(BlockForms, EqualTheReferenceBitForBit) {
  const Golden golden;
  for (const BlockType type : kTypes) {
    const TensorEntry& blocks = golden.at(type, ".blocks");
    const TensorEntry& values = golden.at(type, ".values");
    const std::int64_t rows = values.shape[0], in = values.shape[1];
    std::vector<float> want(std::size_t(rows * in));
    std::memcpy(want.data(), values.bytes.data(), values.bytes.size());
    const BlockRows part{blocks.bytes.data(), type, rows};
    const Matrix w = Matrix::pack_blocks(context(Isa::portable), {&part, 1}, in);
    for (std::int64_t r = 0; r < rows; r++) {
      const auto row = std::span(want).subspan(std::size_t(r * in), std::size_t(in));
      if (type == BlockType::q4_0) {  // kept as d * q + (-8 d): zero may have the other sign
        EXPECT_TRUE(all_close(row_of(w, r), row, 0, 0));
      } else {
        EXPECT_TRUE(bit_equal(row_of(w, r), row)) << name(type) << " row " << r;
      }
    }
  }
}

// Random bits with float16 numbers of usual sizes.
std::vector<std::byte> random_blocks(BlockType type, std::int64_t rows, std::int64_t in,
                                     unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> scales(-0.01f, 0.01f);
  const std::size_t size = block_bytes(type);
  std::vector<std::byte> bytes(std::size_t(rows * in / block_values(type)) * size);
  for (std::byte& b : bytes) b = std::byte(random());
  for (std::size_t at = 0; at < bytes.size(); at += size) {
    std::size_t halves[] = {0, 2};
    if (type == BlockType::q2_k) halves[0] = 80, halves[1] = 82;
    if (type == BlockType::q3_k) halves[0] = halves[1] = 108;
    if (type == BlockType::q6_k) halves[0] = halves[1] = 208;
    for (const std::size_t half : halves) {
      const f16 number = to_f16(scales(random));
      std::memcpy(bytes.data() + at + half, &number, sizeof number);
    }
  }
  return bytes;
}

std::vector<float> run(const Context& ctx, const Matrix& w, const std::vector<float>& x,
                       std::int64_t rows, const Epilogue& epilogue = {}) {
  const std::int64_t out = epilogue.gated ? w.out() / 2 : w.out();
  std::vector<float> y(std::size_t(rows * out), 0.25f);
  linear(ctx, TensorView<const float>(x.data(), {rows, w.in()}, "x"), w, epilogue,
         TensorView<float>(y.data(), {rows, out}, "y"));
  return y;
}

// The weights are the reference's to the bit, and float32 sums of `in` products in any order err by
// at most in * 2^-24 * sum |x w|, plus one rounding of each product.
TEST(BlockForms, MultiplyAsTheReference) {
  for (const BlockType type : kWidened) {
    for (const std::int64_t out : {1, 16, 17, 45, 64}) {
      const std::int64_t in = 512;
      const auto bytes = random_blocks(type, out, in, unsigned(out));
      const BlockRows part{bytes.data(), type, out};
      const Matrix w = Matrix::pack_blocks(context(Isa::portable), {&part, 1}, in);
      const auto bias = random_floats(out, 5);
      for (const std::int64_t rows : {1, 3, 13, 70}) {
        const auto x = random_floats(rows * in, unsigned(rows));
        const Epilogue epilogue{bias.data(), Activation::none, true};
        const auto want = run(context(Isa::reference), w, x, rows, epilogue);
        std::vector<double> bounds;
        for (std::int64_t r = 0; r < rows; r++) {
          for (std::int64_t o = 0; o < out; o++) {
            const auto weights = row_of(w, o);
            double sum = std::fabs(double(bias[std::size_t(o)])) + 0.25;
            for (std::int64_t k = 0; k < in; k++) {
              sum +=
                  std::fabs(double(x[std::size_t(r * in + k)]) * double(weights[std::size_t(k)]));
            }
            bounds.push_back(double(in + 3) * 0x1p-24 * sum);
          }
        }
        for (const Isa isa : supported_isas()) {
          const auto got = run(context(isa), w, x, rows, epilogue);
          EXPECT_TRUE(all_close(got, want, [&](std::size_t i) { return bounds[i]; }))
              << name(type) << " on " << name(isa) << ", " << rows << " x " << out;
        }
      }
    }
  }
}

TEST(BlockForms, RowsDoNotDependOnOthers) {
  constexpr std::int64_t kOut = 77, kIn = 768, kRows = 41;
  for (const BlockType type : kWidened) {
    const auto bytes = random_blocks(type, kOut, kIn, 6);
    const BlockRows part{bytes.data(), type, kOut};
    const Matrix w = Matrix::pack_blocks(context(Isa::portable), {&part, 1}, kIn);
    const auto x = random_floats(kRows * kIn, 7);
    for (const Isa isa : supported_isas()) {
      const auto all = run(context(isa, 2), w, x, kRows);
      EXPECT_TRUE(bit_equal(all, run(context(isa, 1), w, x, kRows)));
      for (const std::int64_t r : {0, 17, 40}) {
        const std::vector<float> one(x.begin() + r * kIn, x.begin() + (r + 1) * kIn);
        EXPECT_TRUE(bit_equal(run(context(isa, 3), w, one, 1),
                              std::span(all).subspan(std::size_t(r * kOut), std::size_t(kOut))))
            << name(type) << " on " << name(isa);
      }
    }
  }
}

TEST(BlockForms, GatedProductsEqualTheirParts) {
  constexpr std::int64_t kOut = 128, kIn = 256, kRows = 9;
  const auto bytes = random_blocks(BlockType::q4_k, kOut, kIn, 8);
  const BlockRows part{bytes.data(), BlockType::q4_k, kOut};
  const Matrix w = Matrix::pack_blocks(context(Isa::portable), {&part, 1}, kIn);
  const auto x = random_floats(kRows * kIn, 9);
  for (const Isa isa : supported_isas()) {
    const auto both = run(context(isa), w, x, kRows);
    const auto got =
        run(context(isa), w, x, kRows, {.activation = Activation::relu, .gated = true});
    for (std::int64_t r = 0; r < kRows; r++) {
      for (std::int64_t o = 0; o < kOut / 2; o++) {
        const float gate = std::max(0.0f, both[std::size_t(r * kOut + o)]);
        ASSERT_EQ(got[std::size_t(r * kOut / 2 + o)],
                  gate * both[std::size_t(r * kOut + kOut / 2 + o)]);
      }
    }
  }
}

TEST(BlockForms, RefuseRowsThatDoNotDivide) {
  const std::vector<std::byte> bytes(4096);
  const BlockRows part{bytes.data(), BlockType::q4_k, 2};
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        Matrix::pack_blocks(context(Isa::portable), {&part, 1}, 288);
      },
      {"288 inputs", "multiple of 256"}));
}

}  // namespace
}  // namespace chiasm::kernels
