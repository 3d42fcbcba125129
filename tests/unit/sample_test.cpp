// Sampling against transformers' logits warpers (golden sets of kept tokens) and against arithmetic
// in double.
#include "kernels/sample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/hash.h"
#include "core/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

const Json& golden() {
  static const Json json = Json::load(CHIASM_SOURCE_DIR "/tests/golden/sample/keep_sets.json");
  return json;
}

// As logits_of in tests/reference/make_sample_golden.py.
std::vector<float> golden_logits(std::uint64_t index, std::int64_t size, float spread) {
  std::vector<float> logits;
  for (std::uint64_t i = 0; i < std::uint64_t(size); i++) {
    const float u = float(mix64((index << 32) + i) >> 40) * 0x1p-24f;
    logits.push_back(u * u * u * spread);
  }
  return logits;
}

SampleOptions golden_options(const Json& c) {
  SampleOptions o;
  o.temperature = float(c["temperature"].number());
  o.top_k = std::int32_t(c["top_k"].integer());
  o.top_p = c["top_p"].number();
  o.min_p = float(c["min_p"].number());
  return o;
}

TEST(FilterLogits, KeepsWhatTransformersKeeps) {
  const Json cases = golden()["cases"];
  ASSERT_EQ(cases.size(), 50u);
  for (const Isa isa : supported_isas()) {
    for (std::size_t i = 0; i < cases.size(); i++) {
      const Json c = cases[i];
      const auto logits = golden_logits(i, c["size"].integer(), float(c["spread"].number()));
      const SampleOptions options = golden_options(c);
      const auto scores = filter_logits(context(isa), logits, options);
      std::vector<std::int64_t> kept;
      for (std::size_t id = 0; id < scores.size(); id++) {
        if (scores[id] == -kInfinity) continue;
        kept.push_back(std::int64_t(id));
        EXPECT_EQ(scores[id], logits[id] / options.temperature);
      }
      EXPECT_EQ(std::int64_t(kept.size()), c["count"].integer()) << name(isa) << ", case " << i;
      EXPECT_EQ(std::accumulate(kept.begin(), kept.end(), std::int64_t(0)), c["sum"].integer());
      kept.resize(std::min<std::size_t>(kept.size(), 20));
      EXPECT_EQ(kept, c["first"].integers()) << name(isa) << ", case " << i;
    }
  }
}

TEST(Sample, DrawsTheTokensOfTheGoldenGenerator) {
  const Json cases = golden()["cases"];
  for (const Isa isa : supported_isas()) {
    for (std::size_t i = 0; i < cases.size(); i++) {
      const Json c = cases[i];
      const auto logits = golden_logits(i, c["size"].integer(), float(c["spread"].number()));
      SampleOptions options = golden_options(c);
      options.seed = i;
      for (std::uint64_t position = 0; position < 8; position++) {
        EXPECT_EQ(sample(context(isa), logits, options, position), c["drawn"][position].integer())
            << name(isa) << ", case " << i << ", position " << position;
      }
    }
  }
}

TEST(Sample, FrequenciesFollowTheProbabilities) {
  const std::vector<float> logits = {1.0f, 3.0f, -1.0f, 2.0f, 0.5f, kNan, -kInfinity};
  SampleOptions options;
  options.temperature = 1.3f;
  options.seed = 42;
  constexpr int kDraws = 20000;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < kDraws; i++) {
    counts[std::size_t(sample(context(best_isa()), logits, options, std::uint64_t(i)))]++;
  }
  double total = 0;
  for (int i = 0; i < 5; i++) total += std::exp(double(logits[std::size_t(i)]) / 1.3);
  for (int i = 0; i < 5; i++) {
    const double p = std::exp(double(logits[std::size_t(i)]) / 1.3) / total;
    // Five standard deviations of a binomial count.
    EXPECT_NEAR(counts[std::size_t(i)] / double(kDraws), p, 5 * std::sqrt(p * (1 - p) / kDraws));
  }
  EXPECT_EQ(counts[5] + counts[6], 0);
}

TEST(Sample, DependsOnSeedAndPosition) {
  const auto logits = random_floats(500, 1);
  SampleOptions options;
  options.temperature = 1;
  int by_position = 0, by_seed = 0;
  for (std::uint64_t i = 0; i < 50; i++) {
    options.seed = 7;
    const auto token = sample(context(best_isa()), logits, options, i);
    EXPECT_EQ(sample(context(Isa::portable), logits, options, i), token);
    by_position += token != sample(context(best_isa()), logits, options, i + 1);
    options.seed = 8;
    by_seed += token != sample(context(best_isa()), logits, options, i);
  }
  EXPECT_GT(by_position, 40);
  EXPECT_GT(by_seed, 40);
}

TEST(Argmax, TakesTheFirstOfEqualsAndNeverNan) {
  for (const Isa isa : supported_isas()) {
    const Context ctx = context(isa);
    for (const std::int64_t n : {1, 3, 15, 16, 17, 63, 64, 65, 130, 49280}) {
      auto logits = random_floats(n, 2);
      const auto want = std::max_element(logits.begin(), logits.end()) - logits.begin();
      EXPECT_EQ(argmax(ctx, logits), want) << name(isa) << " " << n;
      for (const std::int64_t at : {std::int64_t(0), n / 2, n - 1}) {
        auto changed = logits;
        changed[std::size_t(at)] = 50;
        if (n > 20) changed[std::size_t(n - 1)] = 50;
        EXPECT_EQ(argmax(ctx, changed), at) << name(isa) << " " << n;
        if (n == 1) continue;
        changed = logits;
        changed[std::size_t(at)] = kNan;
        auto without = changed;
        without[std::size_t(at)] = -kInfinity;
        EXPECT_EQ(argmax(ctx, changed),
                  std::max_element(without.begin(), without.end()) - without.begin());
      }
    }
    EXPECT_EQ(argmax(ctx, std::vector<float>{kNan, -kInfinity, -kInfinity}), 1);
    EXPECT_EQ(argmax(ctx, std::vector<float>{0, kInfinity}), 1);
    EXPECT_TRUE(throws<RequestError>([&] { argmax(ctx, std::vector<float>(40, kNan)); },
                                     {"40 logits", "NaN"}));
  }
}

TEST(LogSumExp, MatchesDouble) {
  for (const std::int64_t n : {1, 2, 17, 1000, 49280}) {
    for (const float spread : {0.1f, 5.0f, 40.0f}) {
      const auto logits = random_floats(n, 3, 10, spread);
      const double want = log_sum_exp(context(Isa::reference), logits);
      for (const Isa isa : supported_isas()) {
        // Each exp is 2 ulp off, its argument exact; the sum is in double.
        EXPECT_NEAR(log_sum_exp(context(isa), logits), want, 4 * 0x1p-24) << name(isa) << " " << n;
      }
    }
  }
}

TEST(PenalizeRepetition, MatchesTransformers) {
  const Json p = golden()["penalty"];
  auto logits = golden_logits(99, 50, 8);
  for (float& x : logits) x -= 3;
  std::vector<std::int32_t> seen = {50, -1};  // outside the vocabulary: passed over
  for (const std::int64_t id : p["seen"].integers()) seen.push_back(std::int32_t(id));
  penalize_repetition(logits, seen, float(p["value"].number()));
  for (std::size_t i = 0; i < logits.size(); i++) {
    EXPECT_FLOAT_EQ(logits[i], float(p["after"][i].number()));
  }
  EXPECT_TRUE(throws<RequestError>([&] { penalize_repetition(logits, seen, 0); },
                                   {"repetition_penalty 0"}));
}

TEST(TopLogits, AreOrderedWithLowerIdsFirst) {
  const std::vector<float> logits = {1, 5, kNan, 5, -2, 5, 4};
  const auto top = top_logits(logits, 4);
  const std::vector<std::pair<std::int32_t, float>> want = {{1, 5.f}, {3, 5.f}, {5, 5.f}, {6, 4.f}};
  EXPECT_EQ(top, want);
  EXPECT_EQ(top_logits(logits, 2), std::vector(want.begin(), want.begin() + 2));
  EXPECT_EQ(top_logits(logits, 100).size(), 6u);
  EXPECT_TRUE(top_logits(logits, 0).empty());
}

TEST(Sample, RefusesOptionsOutOfRangeAndBrokenLogits) {
  const std::vector<float> logits = {1, 2, 3};
  const Context ctx = context(best_isa());
  const auto attempt = [&](auto&& change, const std::vector<float>& x) {
    return [&ctx, change, x] {
      SampleOptions o;
      o.temperature = 1;
      change(o);
      sample(ctx, x, o, 0);
    };
  };
  const auto throws_for = [&](auto&& change, std::string_view word) {
    return throws<RequestError>(attempt(change, logits), {word});
  };
  EXPECT_TRUE(throws_for([](SampleOptions& o) { o.temperature = -1; }, "temperature -1"));
  EXPECT_TRUE(throws_for([](SampleOptions& o) { o.temperature = kNan; }, "temperature"));
  EXPECT_TRUE(throws_for([](SampleOptions& o) { o.top_k = -1; }, "top_k -1"));
  EXPECT_TRUE(throws_for([](SampleOptions& o) { o.top_p = 1.5; }, "top_p 1.5"));
  EXPECT_TRUE(throws_for([](SampleOptions& o) { o.min_p = kNan; }, "min_p"));
  const auto same = [](SampleOptions&) {};
  EXPECT_TRUE(throws<RequestError>(attempt(same, {kNan, kNan}), {"sample", "NaN"}));
  EXPECT_TRUE(throws<RequestError>(attempt(same, {1, kInfinity}), {"sample", "inf"}));
  SampleOptions tiny;  // logits / temperature overflows: as good as greedy
  tiny.temperature = 1e-39f;
  EXPECT_EQ(sample(ctx, logits, tiny, 3), 2);
}

}  // namespace
}  // namespace chiasm::kernels
