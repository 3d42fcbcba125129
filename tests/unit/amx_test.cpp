// What can be said of the AMX products without the hardware: over emulated tile instructions they
// read the packed weights and rows as they lie, and never ask for what a tile cannot be.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/isa.h"
#include "kernels/cpu/gemm_driver.h"
#include "kernels/cpu/packed.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"
#include "tests/unit/amx_emulation.h"

namespace chiasm::kernels {
namespace {

using chiasm::testing::all_close;
using chiasm::testing::bit_equal;
using chiasm::testing::context;
using chiasm::testing::random_floats;

class Amx : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_avx512_bf16()) GTEST_SKIP() << "the emulation needs AVX-512 BF16";
  }
  void TearDown() override { EXPECT_STREQ(chiasm::testing::emulated_amx_fault(), ""); }
};

Matrix pack(std::int64_t out, std::int64_t in, WeightFormat format) {
  const auto w = random_floats(out * in, 1);
  const WeightRows rows{reinterpret_cast<const std::byte*>(w.data()), DType::f32, out};
  return Matrix::pack(context(Isa::portable), {&rows, 1}, in, format);
}

std::vector<float> multiply(const cpu::GemmKernel& kernel, const Matrix& w,
                            const std::vector<float>& x, std::int64_t first, std::int64_t rows,
                            int threads = 2) {
  std::vector<float> y(std::size_t(rows * w.out()));
  cpu::gemm(context(Isa::avx512, threads), kernel, w.packed(),
            TensorView<const float>(x.data() + first * w.in(), {rows, w.in()}, "x"), {},
            TensorView<float>(y.data(), {rows, w.out()}, "y"));
  return y;
}

std::vector<float> multiply(Isa isa, const Matrix& w, const std::vector<float>& x,
                            std::int64_t rows) {
  std::vector<float> y(std::size_t(rows * w.out()));
  linear(context(isa), TensorView<const float>(x.data(), {rows, w.in()}, "x"), w, {},
         TensorView<float>(y.data(), {rows, w.out()}, "y"));
  return y;
}

// Both sum up the same products of bfloat16 (rows here are numbers of that format already), each
// rounding at most twice a product: 2 * in * 2^-24 of the sum of magnitudes, at most in * |x| |w|.
TEST_F(Amx, Bf16MatchesTheReference) {
  for (const std::int64_t in : {1, 2, 31, 32, 33, 257, 1000}) {
    for (const std::int64_t out : {7, 16, 33, 100}) {
      const Matrix w = pack(out, in, WeightFormat::bf16);
      for (const std::int64_t rows : {1, 5, 16, 17, 150}) {
        auto x = random_floats(rows * in, 2);
        for (float& v : x) v = to_float(to_bf16(v));
        float most = 0;
        for (const float v : x) most = std::max(most, std::fabs(v));
        const double bound = (2 * double(in) + 4) * 0x1p-24 * double(in) * double(most) * 5;
        EXPECT_TRUE(all_close(multiply(chiasm::testing::kEmulatedAmxBf16, w, x, 0, rows),
                              multiply(Isa::reference, w, x, rows), 0, bound))
            << "in " << in << " out " << out << " rows " << rows;
      }
    }
  }
}

// Sums of integers are exact and the groups join as elsewhere.
TEST_F(Amx, Int8EqualsAvx512BitForBit) {
  for (const std::int64_t in : {1, 31, 32, 33, 128, 300, 1000}) {
    for (const std::int64_t out : {7, 16, 33, 100}) {
      const Matrix w = pack(out, in, WeightFormat::q8_rows);
      for (const std::int64_t rows : {1, 5, 16, 17, 150}) {
        const auto x = random_floats(rows * in, 2);
        EXPECT_TRUE(bit_equal(multiply(chiasm::testing::kEmulatedAmxQ8Rows, w, x, 0, rows),
                              multiply(Isa::avx512, w, x, rows)))
            << "in " << in << " out " << out << " rows " << rows;
      }
    }
  }
}

TEST_F(Amx, RowsAreTheSameInAnyCompany) {
  constexpr std::int64_t kRows = 140, kOut = 100, kIn = 1030;
  const auto x = random_floats(kRows * kIn, 3);
  const Matrix w = pack(kOut, kIn, WeightFormat::bf16);
  const auto& kernel = chiasm::testing::kEmulatedAmxBf16;
  const auto all = multiply(kernel, w, x, 0, kRows, 1);
  for (const std::int64_t first : {0, 1, 17, 100, 139}) {
    const auto some = multiply(kernel, w, x, first, kRows - first, 3);
    EXPECT_TRUE(bit_equal(some, std::span(all).subspan(std::size_t(first * kOut)))) << first;
    const auto alone = multiply(kernel, w, x, first, 1);
    EXPECT_TRUE(bit_equal(alone, std::span(all).subspan(std::size_t(first * kOut), kOut))) << first;
  }
}

}  // namespace
}  // namespace chiasm::kernels
