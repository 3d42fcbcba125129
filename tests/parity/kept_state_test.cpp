/// Sequences that keep more than keys and values: where they may be continued.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/parity/beginnings.h"

namespace chiasm::testing {

namespace {

class KeptState : public ::testing::TestWithParam<std::string>, protected Beginnings {
 protected:
  KeptState() : Beginnings(GetParam()) {}
};

TEST_P(KeptState, IsContinuedWhereItEndedAndNowhereElse) {
  Model model = load();
  const Result first = model.generate(request(70, 9));
  // All but the last token of the answer has been read.
  Request next = request(70, 12);
  next.token_ids.insert(next.token_ids.end(), first.token_ids.begin(), first.token_ids.end());
  next.token_ids.push_back(7);
  const std::vector<std::int32_t> fresh = load().generate(next).token_ids;
  for (int again = 0; again < 2; again++) {
    const Result result = model.generate(next);
    EXPECT_EQ(result.token_ids, fresh);
    // The second time it has gone further than this prompt.
    EXPECT_EQ(result.usage.cached_tokens, again == 0 ? 78 : 0);
  }
  const Result other = model.generate(request(40, 12));
  EXPECT_EQ(other.usage.cached_tokens, 0);
  EXPECT_EQ(other.token_ids, load().generate(request(40, 12)).token_ids);
}

TEST_P(KeptState, IsCopiedForEachOfSeveralAnswers) {
  Model model = load();
  const Request asked = request(30, 16);
  const std::vector<std::int32_t> want = load().generate(asked).token_ids;
  for (const Result& answer : model.choices(asked, 3)) EXPECT_EQ(answer.token_ids, want);
}

TEST_P(KeptState, IsPartOfThePlan) {
  Model model = load();
  const auto bytes = [&](std::int64_t tokens) { return model.plan(request(tokens, 1)).kv_bytes; };
  if (GetParam().starts_with("mamba2")) {
    EXPECT_GT(bytes(5), 0);
    EXPECT_EQ(bytes(5), bytes(200));
  } else {
    EXPECT_LT(bytes(5), bytes(200));
  }
}

INSTANTIATE_TEST_SUITE_P(Small, KeptState,
                         ::testing::Values("lfm2_mixed", "mamba2_groups", "mamba2_tied"),
                         [](const auto& test) { return test.param; });

}  // namespace

}  // namespace chiasm::testing
