/// What the engine does when a context or its queue is full, and whose prompt goes first.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "core/error.h"
#include "runtime/loader.h"
#include "tests/parity/golden_file.h"

namespace chiasm::testing {

namespace {

constexpr std::int64_t kContext = 40;

struct Bench {
  explicit Bench(const char* folder) {
    LoadOptions options;
    options.dtype = "float32";
    options.threads = 2;
    loaded = load_model(golden_root() / "models" / folder, options);
    loaded.engine_options.max_context = kContext;
  }

  Engine engine() const {
    return {*loaded.family, *loaded.tokenizer, loaded.context(), loaded.engine_options};
  }

  std::vector<std::int32_t> ids(std::int64_t count, unsigned seed) const {
    std::mt19937 random(seed);
    std::vector<std::int32_t> out;
    for (std::int64_t i = 0; i < count; i++) {
      out.push_back(std::int32_t(random() % unsigned(loaded.info.vocab_size)));
    }
    return out;
  }

  std::shared_ptr<Sequence> sequence(std::vector<std::int32_t> ids, std::int64_t max_tokens,
                                     bool slide) const {
    Request request;
    request.token_ids = std::move(ids);
    auto s = std::make_shared<Sequence>();
    s->prompt = make_prompt(*loaded.family, *loaded.tokenizer, request, AllLimits());
    s->options.max_tokens = max_tokens;
    s->options.ignore_eos = true;
    s->options.slide = slide;
    s->first_logits = s->prompt_length() - 1;
    return s;
  }

  LoadedModel loaded;
};

std::vector<std::int32_t> answer(Engine& engine, std::shared_ptr<Sequence> s) {
  engine.submit({&s, 1});
  engine.wait({&s, 1}, {}, {});
  return s->result.token_ids;
}

/// After each slide the answer goes on as that of a prompt of what was kept.
TEST(Context, SlidesAsIfWhatIsLeftWereThePrompt) {
  const Bench bench("llama_gqa");
  Engine engine = bench.engine();
  const auto prompt = bench.ids(11, 1);
  const auto told = answer(engine, bench.sequence(prompt, 100, true));
  ASSERT_EQ(told.size(), 100u);
  std::vector<std::int32_t> expected, kept;
  while (expected.size() < told.size()) {
    auto ids = prompt;
    ids.insert(ids.end(), kept.begin(), kept.end());
    const auto room = std::int64_t(kContext + 1 - std::int64_t(ids.size()));
    Engine fresh = bench.engine();
    const auto more = answer(fresh, bench.sequence(ids, room, true));
    expected.insert(expected.end(), more.begin(), more.end());
    kept.insert(kept.end(), more.begin(), more.end());
    kept.erase(kept.begin(), kept.begin() + std::int64_t(kept.size() / 2));
  }
  expected.resize(told.size());
  EXPECT_EQ(told, expected);
}

TEST(Context, RemembersASlidPrefixByWhatItHolds) {
  const Bench bench("llama_gqa");
  Engine engine = bench.engine();
  const auto prompt = bench.ids(11, 2);
  answer(engine, bench.sequence(prompt, 60, true));
  const auto again = answer(engine, bench.sequence(prompt, 20, false));
  Engine fresh = bench.engine();
  EXPECT_EQ(again, answer(fresh, bench.sequence(prompt, 20, false)));
}

TEST(Context, OneRowOfRoomIsEnough) {
  const Bench bench("llama_gqa");
  Engine engine = bench.engine();
  const auto told = answer(engine, bench.sequence(bench.ids(kContext - 1, 3), 9, true));
  EXPECT_EQ(told.size(), 9u);
}

TEST(Context, WhatCannotSlideIsRefused) {
  const Bench bench("llama_gqa");
  Engine engine = bench.engine();
  auto full = bench.sequence(bench.ids(kContext, 4), 5, true);
  EXPECT_THROW(engine.submit({&full, 1}), RequestError);
  auto plain = bench.sequence(bench.ids(30, 4), 11, false);
  EXPECT_THROW(engine.submit({&plain, 1}), RequestError);
  const Bench hybrid("lfm2_mixed");
  Engine other = hybrid.engine();
  auto fixed = hybrid.sequence(hybrid.ids(30, 4), 11, true);
  EXPECT_THROW(other.submit({&fixed, 1}), RequestError);
}

TEST(Queue, IsBounded) {
  Bench bench("llama_gqa");
  bench.loaded.engine_options.max_waiting = 2;
  Engine engine = bench.engine();
  std::vector<std::shared_ptr<Sequence>> many;
  for (unsigned i = 0; i < 5; i++) many.push_back(bench.sequence(bench.ids(5, i), 2, false));
  EXPECT_NO_THROW(engine.submit(std::span(many).first(3)));  // one call's own, nobody waiting
  EXPECT_THROW(engine.submit(std::span(many).subspan(3, 1)), RequestError);
  engine.wait(std::span(many).first(3), {}, {});
  EXPECT_NO_THROW(engine.submit(std::span(many).subspan(3, 2)));
  engine.wait(std::span(many).subspan(3, 2), {}, {});
}

/// A short prompt is answered while a long one that came before it is still being read.
TEST(Queue, AShortPromptDoesNotWaitForALongOne) {
  Bench bench("llama_gqa");
  bench.loaded.engine_options.prefill_rows = 8;
  Engine engine = bench.engine();
  const std::vector<std::shared_ptr<Sequence>> both{bench.sequence(bench.ids(38, 5), 1, false),
                                                    bench.sequence(bench.ids(4, 6), 1, false)};
  engine.submit(both);
  std::vector<bool> long_was_done;
  engine.wait(both, {}, {}, [&](std::size_t) { long_was_done.push_back(both[0]->done); });
  EXPECT_EQ(long_was_done, (std::vector<bool>{false, true}));
}

}  // namespace

}  // namespace chiasm::testing
