/// Sequences that outgrow the context of the short rotary factors, beyond what the golden answers
/// of model_parity_test.cpp show.
#include <gtest/gtest.h>

#include <vector>

#include "tests/parity/beginnings.h"

namespace chiasm::testing {

namespace {

constexpr std::int64_t kShort = 64;  // original_max_position_embeddings of the folder

class LongRope : public ::testing::Test, protected Beginnings {
 protected:
  LongRope() : Beginnings("phi3_longrope") {}
};

TEST_F(LongRope, KeysOfShortSequencesAreNotContinuedAsLongOnes) {
  Model model = load();
  model.generate(request(kShort - 4, 2));
  for (const std::int64_t tokens : {kShort + 10, kShort + 30}) {
    const Result result = model.generate(request(tokens, 20));
    EXPECT_EQ(result.token_ids, load().generate(request(tokens, 20)).token_ids);
    // The second long prompt begins as the first.
    EXPECT_EQ(result.usage.cached_tokens, tokens == kShort + 10 ? 0 : kShort + 10);
  }
  EXPECT_EQ(model.generate(request(kShort - 1, 1)).usage.cached_tokens, kShort - 4);
}

TEST_F(LongRope, AnAnswerThatOutgrowsThemIsThatOfThePromptItHasBecome) {
  Model model = load();
  Request shorter = request(kShort - 3, 16);
  const Result whole = model.generate(shorter);
  ASSERT_EQ(whole.token_ids.size(), 16u);
  EXPECT_EQ(whole.usage.prompt_tokens, kShort - 3);
  EXPECT_EQ(whole.usage.completion_tokens, 16);
  Request longer = shorter;  // with the 4 tokens that make it long
  longer.token_ids.insert(longer.token_ids.end(), whole.token_ids.begin(),
                          whole.token_ids.begin() + 4);
  longer.options.max_tokens = 12;
  const std::vector<std::int32_t> rest(whole.token_ids.begin() + 4, whole.token_ids.end());
  EXPECT_EQ(load().generate(longer).token_ids, rest);
  // What the answer left behind is there for the prompt that goes on from it.
  EXPECT_EQ(model.generate(longer).usage.cached_tokens, kShort);
  for (const Result& answer : load().choices(shorter, 3)) {
    EXPECT_EQ(answer.token_ids, whole.token_ids);
  }
}

}  // namespace

}  // namespace chiasm::testing
