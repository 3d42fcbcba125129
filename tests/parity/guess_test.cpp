/// Answers with tokens guessed ahead are those without, token by token and in their
/// log-probabilities.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/setting.h"

namespace chiasm::testing {

namespace {

class Guesses : public ::testing::TestWithParam<Setting> {
 protected:
  Guesses() : golden_(read_golden(golden_root() / "models" / GetParam().folder)) {
    model_.emplace(Model::load(golden_.path, GetParam().options(2)));
  }

  Request request(std::size_t number, std::int64_t lookup) const {
    Request out = golden_.cases[number % golden_.cases.size()].request();
    out.options.max_tokens = 60;
    out.options.ignore_eos = true;
    out.options.logprobs = 2;
    out.options.lookup = lookup;
    if (number % 3 == 2) {
      out.options.temperature = 0.7;
      out.options.seed = number;
    }
    return out;
  }

  GoldenFolder golden_;
  std::optional<Model> model_;
};

void expect_same(const Result& guessed, const Result& plain) {
  EXPECT_EQ(guessed.token_ids, plain.token_ids);
  EXPECT_EQ(guessed.text, plain.text);
  ASSERT_EQ(guessed.logprobs.size(), plain.logprobs.size());
  for (std::size_t i = 0; i < plain.logprobs.size(); i++) {
    EXPECT_EQ(guessed.logprobs[i].logprob, plain.logprobs[i].logprob) << "token " << i;
  }
}

TEST_P(Guesses, ChangeNothing) {
  std::int64_t guessed = 0;
  for (std::size_t i = 0; i < 6; i++) {
    const Result plain = model_->generate(request(i, 0));
    EXPECT_EQ(plain.usage.guessed_tokens, 0);
    const Result ahead = model_->generate(request(i, 8));
    expect_same(ahead, plain);
    guessed += ahead.usage.guessed_tokens;
  }
  EXPECT_GT(guessed, 0) << "no answer of a random model went round in a circle: nothing was tested";
}

TEST_P(Guesses, ChangeNothingInABatch) {
  std::vector<Request> requests;
  for (std::size_t i = 0; i < 8; i++) requests.push_back(request(i, i % 2 == 0 ? 16 : 0));
  const std::vector<Result> together = model_->generate_all(requests);
  for (std::size_t i = 0; i < requests.size(); i++) {
    expect_same(together[i], model_->generate(request(i, 0)));
  }
}

INSTANTIATE_TEST_SUITE_P(Small, Guesses,
                         ::testing::Values(Setting{"llama_gqa", "float32"},
                                           Setting{"llama31_old", "bfloat16"},
                                           Setting{"smolvlm_2x2", "bfloat16"},
                                           Setting{"qwen2_5_vl_windows", "bfloat16"},
                                           Setting{"gemma2_caps", "bfloat16", "int4"},
                                           Setting{"qwen3_heads", "bfloat16", "int8"},
                                           Setting{"llama31_old", "bfloat16", "", "int8"}),
                         ::testing::PrintToStringParamName());

}  // namespace

}  // namespace chiasm::testing
