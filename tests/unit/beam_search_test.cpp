/// Which continuations go on and which answers are kept, without a model.
#include "runtime/beam_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace chiasm {
namespace {

GenerateOptions options(std::int64_t beams, EarlyStopping early = EarlyStopping::likely,
                        double length_penalty = 1) {
  GenerateOptions o;
  o.num_beams = beams;
  o.early_stopping = early;
  o.length_penalty = length_penalty;
  o.max_tokens = 10;
  return o;
}

BeamCandidate candidate(std::size_t beam, std::int32_t token, float score,
                        const char* ending = "") {
  return {beam, token, score, ending};
}

std::vector<std::int32_t> tokens(const std::vector<BeamCandidate>& candidates) {
  std::vector<std::int32_t> out;
  for (const BeamCandidate& c : candidates) out.push_back(c.token);
  return out;
}

using Tokens = std::vector<std::int32_t>;

TEST(BestCandidates, OfEqualsTheFirst) {
  const auto best = best_candidates(
      {candidate(0, 7, -2), candidate(0, 3, -1), candidate(1, 9, -2), candidate(1, 4, -1.5f)}, 3);
  EXPECT_EQ(tokens(best), (Tokens{3, 4, 7}));
  EXPECT_EQ(best_candidates(best, 9).size(), 3u);
  EXPECT_TRUE(best_candidates({}, 2).empty());
}

TEST(BeamSearch, LooksAtEnoughThatAllBeamsGoOn) {
  const BeamSearch search(options(3));
  EXPECT_EQ(search.looked_at(0), 6u);
  EXPECT_EQ(search.looked_at(1), 6u);
  EXPECT_EQ(search.looked_at(3), 12u);
}

TEST(BeamSearch, KeepsWhatEndsAmongTheFirstAlone) {
  BeamSearch search(options(2));
  const auto choice =
      search.choose({candidate(0, 1, -1, "stop"), candidate(0, 2, -2), candidate(1, 3, -3, "stop"),
                     candidate(1, 4, -4), candidate(1, 5, -5)});
  EXPECT_EQ(tokens(choice.running), (Tokens{2, 4}));
  EXPECT_EQ(tokens(choice.finished), (Tokens{1}));
}

TEST(BeamSearch, ScoresAreDividedByTheLengthsPower) {
  BeamSearch search(options(2, EarlyStopping::likely, 2));
  search.choose({});
  search.keep({5}, "stop", -3);  // of one token
  search.choose({});
  search.choose({});
  search.keep({5, 6}, "stop", -9);  // of three, its end among them: -1
  ASSERT_EQ(search.answers().size(), 2u);
  EXPECT_EQ(search.answers()[0].score, -1);
  EXPECT_EQ(search.answers()[1].score, -3);
  search.keep({7}, "stop", -18);  // -2
  EXPECT_EQ(search.answers()[1].tokens, (Tokens{7}));
  search.keep({8}, "stop", -18);  // no better than what is there
  EXPECT_EQ(search.answers()[1].tokens, (Tokens{7}));
}

class Ending : public ::testing::Test {
 protected:
  /// After two tokens with two answers kept, the worst at -2; the best running one at `score`.
  static bool over(float score, EarlyStopping early, double penalty) {
    BeamSearch search(options(2, early, penalty));
    search.choose({});
    search.choose({});
    const auto power = float(std::pow(2, penalty));
    search.keep({1}, "stop", -1 * power);
    EXPECT_FALSE(search.over({candidate(0, 1, -1000)})) << "one answer is missing";
    search.keep({2}, "stop", -2 * power);
    return search.over({candidate(0, 1, score)});
  }
};

TEST_F(Ending, WhenNoneRuns) { EXPECT_TRUE(BeamSearch(options(2)).over({})); }

TEST_F(Ending, AtOnceWithEnoughAnswers) { EXPECT_TRUE(over(-0.1f, EarlyStopping::at_once, 1)); }

TEST_F(Ending, OnceTheBestIsAsShortAsItIsNoBetter) {
  EXPECT_FALSE(over(-3.9f, EarlyStopping::likely, 1));  // -1.95
  EXPECT_TRUE(over(-4, EarlyStopping::likely, 1));      // -2
}

TEST_F(Ending, OnceTheBestCouldNotBeBetterAtItsLongest) {
  EXPECT_FALSE(over(-19, EarlyStopping::never, 1));  // -1.9 at ten tokens
  EXPECT_TRUE(over(-20, EarlyStopping::never, 1));
  EXPECT_TRUE(over(-0.51f, EarlyStopping::never, -2) !=
              over(-0.49f, EarlyStopping::never, -2));  // length gains nothing: -2.04 and -1.96
}

}  // namespace
}  // namespace chiasm
