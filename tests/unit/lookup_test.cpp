#include "runtime/lookup.h"

#include <gtest/gtest.h>

namespace chiasm {

namespace {

using Tokens = std::vector<std::int32_t>;

TEST(LookUp, WhatFollowedTheLatestPlace) {
  EXPECT_EQ(look_up(Tokens{1, 2, 3, 4, 9, 1, 2, 3, 5, 8, 1, 2, 3}, 2), (Tokens{5, 8}));
  EXPECT_EQ(look_up(Tokens{1, 2, 3, 4, 9, 1, 2, 3}, 9), (Tokens{4, 9, 1, 2, 3}));
}

TEST(LookUp, ThreeAlikeCountMoreThanTwo) {
  EXPECT_EQ(look_up(Tokens{1, 2, 3, 4, 0, 2, 3, 7, 1, 2, 3}, 1), (Tokens{4}));
  EXPECT_EQ(look_up(Tokens{9, 2, 3, 4, 1, 2, 3}, 1), (Tokens{4}));
}

TEST(LookUp, ARunGoesOn) { EXPECT_EQ(look_up(Tokens{5, 5, 5, 5}, 3), (Tokens{5})); }

TEST(LookUp, NothingWhereNothingRepeats) {
  EXPECT_EQ(look_up(Tokens{}, 4), Tokens{});
  EXPECT_EQ(look_up(Tokens{1, 2}, 4), Tokens{});
  EXPECT_EQ(look_up(Tokens{1, 2, 3, 4, 5}, 4), Tokens{});
  EXPECT_EQ(look_up(Tokens{1, 2, 3, 1, 2}, 0), Tokens{});
  EXPECT_EQ(look_up(Tokens{1, 2, 3, 1, 2}, -1), Tokens{});
}

}  // namespace

}  // namespace chiasm
