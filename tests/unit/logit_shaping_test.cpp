// What is added to logits and what is ruled out before a token is drawn.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "kernels/sample.h"

namespace chiasm::kernels {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

TEST(AddBias, AddsToItsTokensAlone) {
  std::vector<float> logits{0.5f, -1.25f, 2, 3};
  add_bias(logits, std::vector<std::pair<std::int32_t, float>>{
                       {1, 4.5f}, {3, -2}, {3, 0.25f}, {4, 9}, {-1, 9}});
  EXPECT_EQ(logits, (std::vector<float>{0.5f, 3.25f, 2, 1.25f}));
}

// OpenAI's formula: mu[j] - c[j] * frequency - (c[j] > 0) * presence.
TEST(PenalizeCounts, CountsEachToken) {
  std::vector<float> logits{1, 2, 3, 4};
  penalize_counts(logits, std::vector<std::int32_t>{2, 0, 2, 7, 2, -3}, 0.5f, 0.25f);
  EXPECT_EQ(logits, (std::vector<float>{0.25f, 2, 1.75f, 4}));
  penalize_counts(logits, std::vector<std::int32_t>{1}, -1, -2);
  EXPECT_EQ(logits, (std::vector<float>{0.25f, 5, 1.75f, 4}));
  penalize_counts(logits, {}, 1, 1);
  EXPECT_EQ(logits, (std::vector<float>{0.25f, 5, 1.75f, 4}));
}

TEST(KeepAllowed, TakesBitsFromTheLowestUp) {
  for (const std::size_t size : {1u, 31u, 32u, 33u, 100u}) {
    std::vector<float> logits(size, 1.5f);
    std::vector<std::uint32_t> allowed((size + 31) / 32);
    for (std::size_t i = 0; i < size; i += 3) allowed[i / 32] |= 1u << (i % 32);
    EXPECT_TRUE(keep_allowed(logits, allowed));
    for (std::size_t i = 0; i < size; i++) EXPECT_EQ(logits[i], i % 3 == 0 ? 1.5f : kNever) << i;
  }
}

TEST(KeepAllowed, WhatHasNoBitIsNotAllowed) {
  std::vector<float> logits(40, 1);
  EXPECT_TRUE(keep_allowed(logits, std::vector<std::uint32_t>{0xffffffffu}));
  EXPECT_EQ(logits[31], 1);
  EXPECT_EQ(logits[32], kNever);
  EXPECT_FALSE(keep_allowed(logits, {}));
  EXPECT_EQ(logits[0], kNever);
}

}  // namespace
}  // namespace chiasm::kernels
