#include "core/profile.h"

#include <gtest/gtest.h>

namespace chiasm {
namespace {

TEST(Profile, SumsByStageAndOperator) {
  Profile profile;
  profile.enter("encode");
  profile.add("linear", 8, 4, 10, 1.0);
  profile.add("linear", 8, 4, 5, 0.5);
  profile.add("linear", 4, 8, 1, 2.0);
  profile.enter("decode");
  profile.add("linear", 8, 4, 1, 0.25);
  const auto times = profile.times();
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[0].stage, "decode");
  EXPECT_EQ(times[2].stage, "encode");
  EXPECT_EQ(times[2].name, "linear");
  EXPECT_EQ(times[2].out, 8);
  EXPECT_EQ(times[2].in, 4);
  EXPECT_EQ(times[2].calls, 2);
  EXPECT_EQ(times[2].rows, 15);
  EXPECT_EQ(times[2].seconds, 1.5);
}

TEST(Profile, ATimerAddsItsLifetime) {
  Profile profile;
  profile.enter("decode");
  { const Timed timed(&profile, "sample"); }
  { const Timed unheard(nullptr, "sample"); }
  const auto times = profile.times();
  ASSERT_EQ(times.size(), 1u);
  EXPECT_EQ(times[0].calls, 1);
  EXPECT_GE(times[0].seconds, 0);
}

}  // namespace
}  // namespace chiasm
