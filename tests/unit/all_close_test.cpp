// A comparator is code too: proof that it can fail.
#include "tests/unit/all_close.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace chiasm::testing {
namespace {

using Floats = std::vector<float>;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(AllClose, RejectsWhatItMust) {
  EXPECT_FALSE(all_close(Floats{-2}, Floats{-1}, 1e-3, 0));
  EXPECT_FALSE(all_close(Floats{1, 2, 4}, Floats{1, 2, 3}, 0.1, 0));
  EXPECT_FALSE(all_close(Floats{1}, Floats{1, 1}, 1, 1));
  EXPECT_FALSE(all_close(Floats{kNan}, Floats{1}, 1e9, 1e9));
  EXPECT_FALSE(all_close(Floats{1}, Floats{kNan}, 1e9, 1e9));
  EXPECT_FALSE(all_close(Floats{kNan}, Floats{kNan}, 1e9, 1e9));
  EXPECT_FALSE(all_close(Floats{kInfinity}, Floats{1}, 1e9, 1e9));
  EXPECT_FALSE(all_close(Floats{kInfinity}, Floats{-kInfinity}, 1e-3, 1e-3));
  EXPECT_FALSE(all_close(Floats{1}, Floats{1.5f}, [](std::size_t) { return kNan; }));
}

TEST(AllClose, AcceptsWhatItMay) {
  EXPECT_TRUE(all_close(Floats{}, Floats{}, 0, 0));
  EXPECT_TRUE(all_close(Floats{1.0005f}, Floats{1}, 1e-3, 0));
  EXPECT_TRUE(all_close(Floats{0.0005f}, Floats{0}, 0, 1e-3));
  EXPECT_TRUE(all_close(Floats{kInfinity}, Floats{kInfinity}, 0, 0));
}

TEST(BitEqual, SeesSignsAndNanBits) {
  EXPECT_TRUE(bit_equal(Floats{kNan, 1}, Floats{kNan, 1}));
  EXPECT_FALSE(bit_equal(Floats{0.0f}, Floats{-0.0f}));
  EXPECT_FALSE(bit_equal(Floats{1}, Floats{std::nextafter(1.0f, 2.0f)}));
  EXPECT_FALSE(bit_equal(Floats{1}, Floats{1, 1}));
}

}  // namespace
}  // namespace chiasm::testing
