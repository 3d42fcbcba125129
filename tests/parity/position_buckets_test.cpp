/// Position ids of variable-resolution pictures: where float32 rounding decides, as the
/// reference's.
#include <gtest/gtest.h>

#include "core/json.h"
#include "tests/parity/golden_file.h"
#include "vision/siglip.h"

namespace chiasm::testing {

namespace {

TEST(PositionBuckets, EqualTheReferences) {
  const Json golden = Json::load(golden_root() / "models" / "position_buckets.json");
  ASSERT_GT(golden.size(), 0u);
  for (std::size_t i = 0; i < golden.size(); i++) {
    const std::int64_t side = golden[i]["side"].integer(), count = golden[i]["count"].integer();
    // One row of patches: row 0 of the table, so the ids are the buckets.
    const auto got = vision::bucketed_positions(1, count, 1, count, side);
    const auto want = golden[i]["buckets"].integers();
    ASSERT_EQ(std::vector<std::int64_t>(got.begin(), got.end()), want)
        << count << " patches on a table of " << side;
  }
}

}  // namespace

}  // namespace chiasm::testing
