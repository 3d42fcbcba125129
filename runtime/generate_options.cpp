#include "runtime/generate_options.h"

#include <cmath>

#include "core/error.h"

namespace chiasm {

namespace {

constexpr std::int64_t kMostBeams = 64;

/// A beam search takes the likeliest answers as they are, and knows them only at its end.
void check_beams(const GenerateOptions& o) {
  if (o.num_beams < 1 || o.num_beams > kMostBeams) {
    fail<RequestError>("num_beams is ", o.num_beams, ", expected between 1 and ", kMostBeams);
  }
  if (!std::isfinite(o.length_penalty)) {
    fail<RequestError>("length_penalty is ", o.length_penalty, ", expected a finite number");
  }
  if (o.answers < 1 || o.answers > o.num_beams) {
    fail<RequestError>("n is ", o.answers, ", expected between 1 and num_beams, which is ",
                       o.num_beams);
  }
  if (o.num_beams == 1) return;
  const auto refuse = [](bool given, const char* what) {
    if (given) fail<RequestError>("num_beams over 1 does not go together with ", what);
  };
  refuse(o.temperature > 0, "sampling; set temperature to 0");
  refuse(o.logprobs > 0, "logprobs; an answer's score is told instead");
  refuse(o.draft_tokens.value_or(0) > 0, "guesses of a draft model; leave draft_tokens out");
  refuse(o.lookup > 0, "prompt lookup; leave that out");
  refuse(o.constraint != nullptr, "an answer of a given form (json_schema, regex, choices)");
  refuse(o.slide, "a sliding context; lower max_tokens");
}

}  // namespace

void check_options(const GenerateOptions& o, std::int64_t vocab_size) {
  const auto check = [](bool good, const char* name, auto value, const char* range) {
    if (!good) fail<RequestError>(name, " is ", value, ", expected ", range);
  };
  check(o.max_tokens >= 1, "max_tokens", o.max_tokens, "at least 1");
  check(o.temperature >= 0 && std::isfinite(o.temperature), "temperature", o.temperature,
        "a finite number of at least 0");
  check(o.top_k >= 0, "top_k", o.top_k, "at least 0 (0: all)");
  const std::int64_t drafted = o.draft_tokens.value_or(0);
  check(drafted >= 0 && drafted <= 32, "draft_tokens", drafted, "between 0 and 32");
  check(o.lookup >= 0 && o.lookup <= 64, "lookup", o.lookup, "between 0 and 64");
  check(o.top_p > 0 && o.top_p <= 1, "top_p", o.top_p, "a number in (0, 1]");
  check(o.min_p >= 0 && o.min_p <= 1, "min_p", o.min_p, "a number in [0, 1]");
  check(o.repetition_penalty > 0 && std::isfinite(o.repetition_penalty), "repetition_penalty",
        o.repetition_penalty, "a finite number over 0");
  check(std::isfinite(o.presence_penalty), "presence_penalty", o.presence_penalty,
        "a finite number");
  check(std::isfinite(o.frequency_penalty), "frequency_penalty", o.frequency_penalty,
        "a finite number");
  for (const auto& [id, bias] : o.logit_bias) {
    check(id >= 0 && id < vocab_size, "logit_bias: a token id", id, "one of the vocabulary");
    check(std::isfinite(bias), "logit_bias: a value", bias, "a finite number");
  }
  check(o.logprobs >= 0 && o.logprobs <= vocab_size, "logprobs", o.logprobs,
        "between 0 and the vocabulary's size");
  for (const std::string& stop : o.stop) {
    if (stop.empty()) fail<RequestError>("stop: an empty string would end every answer at once");
  }
  check_beams(o);
}

}  // namespace chiasm
