#include "core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace chiasm {
namespace {

/// Nearest binary16 to `v` by search among all of them, ties to even: slow and obvious.
std::uint16_t nearest_f16(float v) {
  if (std::isnan(v)) return 0x7e00;
  const double magnitude = std::abs(double(v));
  std::uint16_t low = 0,
                high = 0x7c00;  // finite values grow with their bits; 0x7c00 stands for 2^16
  const auto value = [](std::uint16_t bits) {
    return bits == 0x7c00 ? 65536.0 : double(to_float(f16{bits}));
  };
  while (high - low > 1) {
    const auto middle = std::uint16_t((low + high) / 2);
    (value(middle) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - value(low), above = value(high) - magnitude;
  const bool up = above < below || (above == below && (low & 1) == 1);
  return std::uint16_t((up ? high : low) | (std::signbit(v) ? 0x8000 : 0));
}

TEST(F16, WidensEveryValueExactly) {
  for (std::uint32_t bits = 0; bits < 0x10000; bits++) {
    const int exponent = int(bits >> 10) & 31, mantissa = int(bits & 1023);
    const float got = to_float(f16{std::uint16_t(bits)});
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(got), mantissa != 0) << bits;
      EXPECT_EQ(std::isinf(got), mantissa == 0) << bits;
    } else {
      const double want =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      EXPECT_EQ(double(std::abs(got)), want) << bits;
    }
    EXPECT_EQ(std::signbit(got), (bits & 0x8000) != 0) << bits;
  }
}

TEST(F16, NarrowsEveryHalfBackToItself) {
  for (std::uint32_t bits = 0; bits < 0x10000; bits++) {
    const float wide = to_float(f16{std::uint16_t(bits)});
    if (std::isnan(wide)) continue;
    EXPECT_EQ(to_f16(wide).bits, bits);
  }
}

TEST(F16, RoundsToNearestEven) {
  std::mt19937 random(7);
  for (int i = 0; i < 200'000; i++) {
    // Exponents from far below the smallest subnormal to past the largest half.
    const float v = std::ldexp(float(random() & 0xffffff) / 0x1p24f, int(random() % 50) - 32) *
                    (random() % 2 == 0 ? 1.0f : -1.0f);
    ASSERT_EQ(to_f16(v).bits, nearest_f16(v)) << v;
  }
  for (std::uint16_t bits = 0; bits < 0x7bff; bits++) {  // every tie
    const float tie =
        float((double(to_float(f16{bits})) + to_float(f16{std::uint16_t(bits + 1)})) / 2);
    ASSERT_EQ(to_f16(tie).bits, nearest_f16(tie)) << tie;
  }
}

TEST(F16, OverflowsToInfinity) {
  EXPECT_EQ(to_f16(65504.0f).bits, 0x7bff);
  EXPECT_EQ(to_f16(65519.99f).bits, 0x7bff);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_f16(-1e30f).bits, 0xfc00);
  EXPECT_EQ(to_f16(std::numeric_limits<float>::infinity()).bits, 0x7c00);
  EXPECT_EQ(to_f16(std::numeric_limits<float>::quiet_NaN()).bits & 0x7e00, 0x7e00);
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(1.0f).bits, 0x3f80);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808000u)).bits, 0x3f80);  // tie, even below
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f818000u)).bits, 0x3f82);  // tie, even above
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808001u)).bits, 0x3f81);
  EXPECT_EQ(to_bf16(-1.0f).bits, 0xbf80);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::infinity()).bits, 0x7f80);
}

TEST(Bf16, KeepsNaNs) {
  // A NaN whose upper half has no mantissa bit would turn into infinity if it were cut off.
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0xffffffffu)))));
}

TEST(DType, NamesAndSizes) {
  EXPECT_EQ(name(DType::bf16), "bfloat16");
  EXPECT_EQ(name(DType::boolean), "bool");
  EXPECT_EQ(size_of(DType::f64), 8u);
  EXPECT_EQ(size_of(DType::i32), 4u);
  EXPECT_EQ(size_of(DType::f16), 2u);
  EXPECT_EQ(size_of(DType::u8), 1u);
}

}  // namespace
}  // namespace chiasm
