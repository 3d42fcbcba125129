// Several engines behind one door: on the CPU, where each of two has a cache of its own.
#include "runtime/engines.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "runtime/loader.h"
#include "tests/parity/golden_file.h"
#include "tests/support/expect_error.h"

namespace chiasm::testing {

namespace {

using Tokens = std::vector<std::int32_t>;
using Sequences = std::vector<std::shared_ptr<Sequence>>;

class EnginesTest : public ::testing::Test {
 protected:
  EnginesTest() {
    LoadOptions options;
    options.dtype = "float32";
    options.threads = 2;
    loaded_ = load_model(golden_root() / "models/llama_gqa", options);
  }

  std::unique_ptr<Engines> engines(std::size_t count) const {
    return std::make_unique<Engines>(
        *loaded_.family, *loaded_.tokenizer,
        std::vector<EnginePlace>(count, {loaded_.context(), nullptr, "cpu"}),
        loaded_.engine_options);
  }

  Tokens ids(std::int64_t count, unsigned seed) const {
    std::mt19937 random(seed);
    Tokens out;
    for (std::int64_t i = 0; i < count; i++) {
      out.push_back(std::int32_t(random() % unsigned(loaded_.info.vocab_size)));
    }
    return out;
  }

  std::shared_ptr<Sequence> sequence(Tokens ids, std::int64_t max_tokens = 8) const {
    Request request;
    request.token_ids = std::move(ids);
    auto s = std::make_shared<Sequence>();
    s->prompt = make_prompt(*loaded_.family, *loaded_.tokenizer, request, AllLimits());
    s->options.max_tokens = max_tokens;
    s->options.ignore_eos = true;
    s->options.temperature = 0.9;
    s->seed = 11;
    s->first_logits = s->prompt_length() - 1;
    return s;
  }

  /// Prompts of several lengths, drawn with seeds.
  Sequences many(std::size_t count) const {
    Sequences out;
    for (std::size_t i = 0; i < count; i++) {
      out.push_back(
          sequence(ids(std::int64_t(5 + 17 * (i % 5)), unsigned(i)), 4 + std::int64_t(i)));
    }
    return out;
  }

  static std::vector<Tokens> run(Engines& engines, const Sequences& sequences) {
    engines.run(sequences, {}, {});
    std::vector<Tokens> out;
    for (const auto& s : sequences) out.push_back(s->result.token_ids);
    return out;
  }

  /// Whether each has pages that its requests left behind.
  static std::vector<bool> used(const Engines& engines) {
    std::vector<bool> out;
    for (const EngineState& state : engines.states()) out.push_back(state.stats.pages_in_use > 0);
    return out;
  }

  LoadedModel loaded_;
};

TEST_F(EnginesTest, ABatchIsSpreadAndItsAnswersAreThoseOfOneEngine) {
  const auto one = engines(1), two = engines(2);
  EXPECT_EQ(run(*two, many(9)), run(*one, many(9)));
  EXPECT_EQ(used(*two), (std::vector<bool>{true, true}));
  EXPECT_EQ(two->stats().pages, 2 * one->stats().pages);
  EXPECT_EQ(two->stats().running + two->stats().waiting, 0);
}

TEST_F(EnginesTest, ThreadsEachWithARequestShareTheEngines) {
  const auto one = engines(1), two = engines(2);
  const std::vector<Tokens> want = run(*one, many(6));
  std::vector<Tokens> got(want.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < got.size(); i++) {
    threads.emplace_back([&, i] { got[i] = run(*two, {many(6)[i]}).front(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, want);
}

TEST_F(EnginesTest, DoneRequestsOfAllAreCounted) {
  const auto two = engines(2);
  std::vector<std::size_t> told;
  two->run(many(7), {}, {}, [&](std::size_t done) { told.push_back(done); });
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back(), 7);
}

// Of equals the one that was given fewer; a prompt that goes on goes where its beginning is.
TEST_F(EnginesTest, APromptGoesWhereItsBeginningIs) {
  const auto two = engines(2);
  const Tokens first = ids(150, 1), second = ids(150, 2);
  run(*two, {sequence(first)});
  EXPECT_EQ(used(*two), (std::vector<bool>{true, false}));
  run(*two, {sequence(second)});
  EXPECT_EQ(used(*two), (std::vector<bool>{true, true}));
  for (const Tokens& begun : {second, first, second, second}) {
    Tokens longer = begun;
    longer.push_back(5);
    const auto s = sequence(longer);
    run(*two, {s});
    EXPECT_EQ(s->result.usage.cached_tokens, 150);
  }
}

TEST_F(EnginesTest, ABusyEngineIsLeftAloneThoughItKnowsThePrompt) {
  const auto two = engines(2);
  const Tokens known = ids(150, 1);
  run(*two, {sequence(known)});
  two->on_one(0, [&](Engine& other, const Context&) {
    EXPECT_EQ(other.stats().pages, 0);  // it has run nothing: the other one
    return 0;
  });
  // Two that know it, and long answers: the second is better off where nobody waits.
  const Sequences both{sequence(known, 200), sequence(known, 200)};
  run(*two, both);
  EXPECT_EQ(used(*two), (std::vector<bool>{true, true}));
  EXPECT_EQ(both[0]->result.token_ids, both[1]->result.token_ids);
}

TEST_F(EnginesTest, FollowersStayWithTheirLeader) {
  const auto two = engines(2);
  const auto leader = sequence(ids(40, 3)), follower = sequence(ids(40, 3));
  follower->seed = leader->seed + 1;
  leader->followers.push_back(follower);
  std::vector<std::string> texts(2);
  two->run({&leader, 1},
           [&](std::size_t i, std::string_view piece) {
             texts.at(i) += piece;
             return true;
           },
           {});
  EXPECT_EQ(texts[0], leader->result.text);
  EXPECT_EQ(texts[1], follower->result.text);
  EXPECT_EQ(follower->result.token_ids, run(*engines(1), {[&] {
                                          auto alone = sequence(ids(40, 3));
                                          alone->seed = leader->seed + 1;
                                          return alone;
                                        }()})
                                            .front());
  EXPECT_EQ(used(*two), (std::vector<bool>{true, false}));
}

TEST_F(EnginesTest, AnErrorOfOneStopsTheCallAndNothingElse) {
  const auto two = engines(2);
  Sequences batch = many(4);
  batch[3]->mask = [](std::span<const std::int32_t>, std::span<std::uint32_t>) {
    throw std::runtime_error("a mask of the test's");
  };
  for (const auto& s : batch) s->options.max_tokens = 150;
  EXPECT_THROW(two->run(batch, {}, {}), std::runtime_error);
  for (const EngineState& state : two->states()) EXPECT_EQ(state.failure, "");
  EXPECT_EQ(run(*two, many(4)), run(*engines(1), many(4)));

  Sequences impossible = many(4);
  impossible[2]->options.max_tokens = 1 << 20;
  EXPECT_TRUE(throws<RequestError>([&] { two->run(impossible, {}, {}); }, {"over the context"}));
  EXPECT_EQ(two->stats().running + two->stats().waiting, 0);
}

TEST_F(EnginesTest, CallsAreInterruptedAndCancelled) {
  const auto two = engines(2);
  Sequences batch = many(4);
  for (const auto& s : batch) s->options.max_tokens = 1900;  // seconds
  EXPECT_THROW(two->run(batch, {}, [] { return true; }), Interrupted);
  for (const auto& s : batch) EXPECT_TRUE(s->done);

  const auto cancelled = sequence(ids(10, 4), 200);
  two->run({&cancelled, 1}, [](std::size_t, std::string_view) { return false; }, {});
  EXPECT_EQ(cancelled->result.finish_reason, "cancelled");
  EXPECT_LT(cancelled->result.token_ids.size(), 200);
}

TEST_F(EnginesTest, TimesOfAllAreAddedUp) {
  const auto two = engines(2);
  EXPECT_TRUE(two->operator_times().empty());
  two->profile(true);
  run(*two, many(4));
  std::int64_t steps = 0;
  for (const OperatorTime& t : two->operator_times()) {
    if (t.stage == "prefill" && t.name.empty()) steps += t.calls;
  }
  EXPECT_GE(steps, 2);  // one of each engine at least
  two->profile(false);
  EXPECT_TRUE(two->operator_times().empty());
}

}  // namespace

}  // namespace chiasm::testing
