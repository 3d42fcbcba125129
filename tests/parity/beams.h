#pragma once
/// Settings and answers of a beam search as the golden scripts write them, in transformers' terms.
#include <gtest/gtest.h>

#include <cmath>

#include "core/json.h"
#include "runtime/request.h"

namespace chiasm::testing {

inline GenerateOptions beam_options(const Json& settings) {
  GenerateOptions o;
  o.max_tokens = settings["max_new_tokens"].integer();
  o.num_beams = settings["num_beams"].integer();
  o.answers = settings["num_return_sequences"].integer();
  o.length_penalty = settings.number("length_penalty", 1);
  o.repetition_penalty = settings.number("repetition_penalty", 1);
  o.ignore_eos = settings.raw().contains("eos_token_id") && !settings.has("eos_token_id");  // null
  if (settings.has("early_stopping")) {
    const Json early = settings["early_stopping"];
    o.early_stopping = early.is_string() ? EarlyStopping::never
                       : early.boolean() ? EarlyStopping::at_once
                                         : EarlyStopping::likely;
  }
  for (std::size_t i = 0; settings.has("stop_strings") && i < settings["stop_strings"].size();
       i++) {
    o.stop.push_back(settings["stop_strings"][i].str());
  }
  return o;
}

/// The answers are [{"ids", "score"}], best first. Scores are means of float32 logits' log-softmax:
/// sums in another order move them by some 1e-6 of themselves, and those near zero by the last bit
/// of the logits, which are of the size of ten.
inline void expect_answers(const Result& result, const Json& answers) {
  ASSERT_EQ(result.others.size() + 1, answers.size());
  for (std::size_t i = 0; i < answers.size(); i++) {
    const Result& got = i == 0 ? result : result.others[i - 1];
    const auto ids = answers[i]["ids"].integers();
    EXPECT_EQ(got.token_ids, std::vector<std::int32_t>(ids.begin(), ids.end())) << "answer " << i;
    ASSERT_TRUE(got.score.has_value());
    const double want = answers[i]["score"].number();
    EXPECT_NEAR(*got.score, want, 2e-5 * std::abs(want) + 2e-6) << "answer " << i;
  }
}

}  // namespace chiasm::testing
