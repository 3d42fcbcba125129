/// Answers that a draft model guesses ahead are those without it, token by token and in their
/// log-probabilities, whatever the draft guesses.
#include "runtime/draft.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "core/error.h"
#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/support/expect_error.h"

namespace chiasm::testing {

namespace {

struct Pair {
  std::string model, draft, dtype;
  friend std::ostream& operator<<(std::ostream& out, const Pair& p) {
    return out << p.model << "_by_" << p.draft << "_" << p.dtype;
  }
};

std::filesystem::path folder(const std::string& name) { return golden_root() / "models" / name; }

Model load(const Pair& pair) {
  LoadOptions options;
  options.dtype = pair.dtype;
  options.threads = 2;
  if (!pair.draft.empty()) options.draft = folder(pair.draft);
  return Model::load(folder(pair.model), options);
}

class Drafts : public ::testing::TestWithParam<Pair> {
 protected:
  Drafts() : golden_(read_golden(folder(GetParam().model))) {}

  /// Of several lengths, some sampled, some penalized.
  Request request(std::size_t number, std::optional<std::int64_t> draft_tokens) const {
    Request out = golden_.cases[number % golden_.cases.size()].request();
    out.options.max_tokens = std::int64_t(50 + number);
    out.options.ignore_eos = number % 2 == 0;
    out.options.logprobs = 2;
    out.options.draft_tokens = draft_tokens;
    if (number % 3 == 2) {
      out.options.temperature = 0.7;
      out.options.seed = number;
    }
    if (number % 4 == 3) out.options.repetition_penalty = 1.2;
    return out;
  }

  GoldenFolder golden_;
};

void expect_same(const Result& guessed, const Result& plain) {
  EXPECT_EQ(guessed.token_ids, plain.token_ids);
  EXPECT_EQ(guessed.text, plain.text);
  EXPECT_EQ(guessed.finish_reason, plain.finish_reason);
  ASSERT_EQ(guessed.logprobs.size(), plain.logprobs.size());
  for (std::size_t i = 0; i < plain.logprobs.size(); i++) {
    EXPECT_EQ(guessed.logprobs[i].logprob, plain.logprobs[i].logprob) << "token " << i;
  }
}

TEST_P(Drafts, ChangeNothing) {
  Model model = load(GetParam());
  std::int64_t guessed = 0, rejected = 0;
  for (std::size_t i = 0; i < 6; i++) {
    SCOPED_TRACE(i);
    const Result plain = model.generate(request(i, 0));
    EXPECT_EQ(plain.usage.guessed_tokens + plain.usage.rejected_tokens, 0);
    Request asked = request(i, 3);
    if (i == 4) asked.options.lookup = 8;  // where the answer's own words tell nothing, the draft
    const Result ahead = model.generate(asked);
    expect_same(ahead, plain);
    guessed += ahead.usage.guessed_tokens;
    rejected += ahead.usage.rejected_tokens;
  }
  EXPECT_GT(guessed + rejected, 100) << "nothing was tested";
  if (GetParam().draft != GetParam().model) {
    EXPECT_GT(rejected, 100);
  }
}

TEST_P(Drafts, ChangeNothingInABatch) {
  Model model = load(GetParam());
  std::vector<Request> requests;
  for (std::size_t i = 0; i < 8; i++) {
    requests.push_back(request(i, i % 4 == 3 ? 0 : std::int64_t(1 + 2 * i)));
  }
  requests.push_back(request(8, std::nullopt));  // as many as the model was loaded with
  const std::vector<Result> together = model.generate_all(requests);
  EXPECT_GT(together[8].usage.guessed_tokens + together[8].usage.rejected_tokens, 0);
  Model alone = load({GetParam().model, "", GetParam().dtype});
  for (std::size_t i = 0; i < requests.size(); i++) {
    SCOPED_TRACE(i);
    expect_same(together[i], alone.generate(request(i, 0)));
  }
  const std::vector<Result> choices = model.choices(request(2, 5), 3);
  for (std::size_t i = 0; i < choices.size(); i++) {
    expect_same(choices[i], alone.choices(request(2, 0), 3)[i]);
  }
}

// A draft that is the model itself, and others of the same tokens. gemma2 slides; pictures are not
// shown to the draft.
INSTANTIATE_TEST_SUITE_P(Small, Drafts,
                         ::testing::Values(Pair{"llama_gqa", "llama_gqa", "bfloat16"},
                                           Pair{"llama_gqa", "llama_suppress", "float32"},
                                           Pair{"gemma2_caps", "qwen2_window", "bfloat16"},
                                           Pair{"smolvlm_2x2", "smolvlm_2x2", "bfloat16"}),
                         ::testing::PrintToStringParamName());

/// The model itself guesses all of its words, drawn ones too: it draws by the same numbers.
TEST(DraftOfItself, IsAlwaysRight) {
  const GoldenFolder golden = read_golden(folder("llama_gqa"));
  Model model = load({"llama_gqa", "llama_gqa", "bfloat16"});
  for (const double temperature : {0.0, 0.9}) {
    Request request = golden.find("long").request();
    request.options.max_tokens = 41;
    request.options.ignore_eos = true;
    request.options.temperature = temperature;
    request.options.repetition_penalty = 1.1;
    request.options.presence_penalty = 0.2;
    request.options.seed = 5;
    const Result answer = model.generate(request);
    EXPECT_EQ(answer.usage.rejected_tokens, 0);
    EXPECT_EQ(answer.usage.guessed_tokens, 32);  // four of five; the first comes from the prompt
  }
}

// The turns of model and draft change on the way.
TEST(DraftOfLongRope, GuessesOnBothSides) {
  LoadOptions options;
  options.dtype = "float32";
  options.draft = folder("phi3_longrope");
  options.threads = 2;
  Model model = Model::load(folder("phi3_longrope"), options);
  const GoldenFolder golden = read_golden(folder("phi3_longrope"));
  Request request = golden.find("short").request();
  request.options.max_tokens = 120;
  request.options.ignore_eos = true;
  const Result ahead = model.generate(request);
  request.options.draft_tokens = 0;
  expect_same(ahead, model.generate(request));
  EXPECT_GT(ahead.usage.guessed_tokens, 20);
}

/// Pages and a context that a few answers fill: the others go on without guesses.
TEST(DraftOfLittleRoom, GuessesLess) {
  LoadOptions options;
  options.dtype = "float32";
  options.threads = 2;
  const LoadedModel model = load_model(folder("llama_gqa"), options);
  LoadedModel small = load_model(folder("llama_gqa"), options);
  small.engine_options.kv_pages = 5;
  small.engine_options.max_context = 90;
  EngineOptions settings = model.engine_options;
  settings.draft_tokens = 4;
  Engine engine(*model.family, *model.tokenizer, model.context(), settings,
                std::make_unique<Draft>(std::move(small), *model.tokenizer, model.info.vocab_size,
                                        model.context()));
  const GoldenFolder golden = read_golden(folder("llama_gqa"));
  Request request = golden.find("text").request();
  request.options.max_tokens = 80;
  request.options.ignore_eos = true;
  const Result plain = Model::load(folder("llama_gqa"), options).generate(request);
  std::int64_t guessed = 0;
  for (int round = 0; round < 2; round++) {  // the second finds remembered beginnings in the way
    std::vector<std::shared_ptr<Sequence>> all;
    for (int i = 0; i < 4; i++) {
      const auto& s = all.emplace_back(std::make_shared<Sequence>());
      s->prompt = make_prompt(*model.family, *model.tokenizer, request, settings.limits);
      s->options = request.options;
      s->first_logits = s->prompt_length() - 1;
    }
    engine.submit(all);
    engine.wait(all, {}, {});
    for (const auto& s : all) {
      EXPECT_EQ(s->result.token_ids, plain.token_ids);
      guessed += s->result.usage.guessed_tokens;
    }
  }
  EXPECT_GT(guessed, 60);
  EXPECT_LT(guessed, 8 * 43);  // as many as the context allows them all
}

TEST(DraftLoading, SaysWhatDoesNotFit) {
  const auto loads = [](const std::string& model, const std::string& draft) {
    return [=] { load({model, draft, "float32"}); };
  };
  EXPECT_TRUE(throws<RequestError>(loads("llama_gqa", "llama31_new"),
                                   {"draft", "llama31_new", "needs the same vocabulary"}));
  EXPECT_TRUE(throws<RequestError>(loads("llama_gqa", "lfm2_mixed"),
                                   {"cannot be a draft model", "state of fixed size"}));
  EXPECT_TRUE(throws<RequestError>(loads("lfm2_mixed", "llama_gqa"), {"cannot be guessed ahead"}));
  EXPECT_TRUE(throws<ModelError>(loads("llama_gqa", "nowhere"), {"nowhere: no such folder"}));
  LoadOptions options;
  options.draft = folder("llama_gqa");
  options.draft_tokens = 33;
  EXPECT_TRUE(throws<RequestError>([&] { Model::load(folder("llama_gqa"), options); },
                                   {"draft_tokens is 33"}));
  Model plain = load({"llama_gqa", "", "float32"});
  Request request = Request::text("a");
  request.options.draft_tokens = 2;
  EXPECT_TRUE(throws<RequestError>([&] { plain.generate(request); }, {"loaded without a draft"}));
}

TEST(DraftPlan, TellsItsBytes) {
  const Model with = load({"llama_gqa", "llama_gqa", "bfloat16"});
  const Model without = load({"llama_gqa", "", "bfloat16"});
  Request request = read_golden(folder("llama_gqa")).find("long").request();
  const Plan plan = with.plan(request), plain = without.plan(request);
  EXPECT_EQ(plain.draft_bytes, 0);
  EXPECT_GT(plan.draft_bytes, plain.weight_bytes + plain.kv_bytes);
  EXPECT_EQ(plan.peak_bytes - plan.draft_bytes,
            plan.weight_bytes + plan.fixed_bytes + plan.kv_bytes + plan.activation_bytes);
  request.options.draft_tokens = 0;
  EXPECT_EQ(with.plan(request).draft_bytes, plain.weight_bytes);
}

}  // namespace

}  // namespace chiasm::testing
