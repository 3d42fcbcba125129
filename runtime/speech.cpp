#include "runtime/speech.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace chiasm {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

std::int32_t need(const language::Tokenizer& tokenizer, std::string_view token) {
  const auto id = tokenizer.find(token);
  if (!id) fail<ModelError>("tokenizer.json: the token ", token, " is missing");
  return *id;
}

/// Whether the time tokens together are likelier than the likeliest other token.
bool times_win(const SpeechTokens& speech, std::span<const float> logits) {
  const auto first = logits.begin() + speech.first_time;
  const float most = *std::max_element(logits.begin(), first);
  const float top = *std::max_element(first, logits.end());
  if (top == kNever) return false;
  double sum = 0;
  for (auto at = first; at != logits.end(); ++at) sum += std::exp(double(*at) - double(top));
  return double(top) + std::log(sum) > double(most);
}

}  // namespace

SpeechTokens SpeechTokens::find(const language::Tokenizer& tokenizer) {
  SpeechTokens t;
  t.start = need(tokenizer, "<|startoftranscript|>");
  t.end = need(tokenizer, "<|endoftext|>");
  t.translate = need(tokenizer, "<|translate|>");
  t.transcribe = need(tokenizer, "<|transcribe|>");
  t.no_timestamps = need(tokenizer, "<|notimestamps|>");
  // The token before it is called <|nospeech|> or <|nocaptions|>.
  t.no_speech = t.no_timestamps - 1;
  t.first_time = t.no_timestamps + 1;
  for (std::int32_t id = t.start + 1; id < std::min(t.translate, t.transcribe); id++) {
    const std::string_view text = tokenizer.token_text(id);
    if (text.size() < 6 || !text.starts_with("<|") || !text.ends_with("|>")) continue;
    t.languages.emplace_back(text.substr(2, text.size() - 4), id);
  }
  return t;
}

void SpeechTokens::check(std::int64_t vocab_size) const {
  const std::int32_t most = std::max({start, end, transcribe, translate, first_time});
  if (no_speech >= 0 && most < vocab_size) return;
  fail<ModelError>("tokenizer.json: its tokens of speech reach from ", no_speech, " to ", most,
                   ", the vocabulary has ", vocab_size, " rows");
}

std::int32_t SpeechTokens::language(const std::string& code) const {
  std::string known;
  for (const auto& [name, id] : languages) {
    if (name == code) return id;
    known += (known.empty() ? "" : ", ") + name;
  }
  fail<RequestError>("language \"", code, "\" is not known to this model; it knows ",
                     known.empty() ? "en" : known);
}

void apply_time_rules(const SpeechTokens& speech, std::span<const std::int32_t> tokens,
                      std::span<float> logits) {
  const auto forbid = [&](std::int64_t first, std::int64_t last) {
    last = std::min(last, std::int64_t(logits.size()));
    if (first < last) std::fill(logits.begin() + first, logits.begin() + last, kNever);
  };
  const auto all = std::int64_t(logits.size());
  const std::int64_t times = speech.first_time;
  forbid(speech.no_timestamps, speech.no_timestamps + 1);
  const auto is_time = [&](std::int32_t id) { return speech.is_time(id); };
  const bool last_is_time = !tokens.empty() && is_time(tokens.back());
  const bool one_before_is_time = tokens.size() < 2 || is_time(tokens[tokens.size() - 2]);
  if (last_is_time && one_before_is_time) forbid(times, all);  // a pair is complete: words follow
  if (last_is_time && !one_before_is_time) forbid(0, speech.end);  // words have ended: no more
  const auto latest = std::find_if(tokens.rbegin(), tokens.rend(), is_time);
  if (latest != tokens.rend()) {
    forbid(times, last_is_time && !one_before_is_time ? *latest : *latest + 1);
  }
  if (tokens.empty()) {
    forbid(0, times);
    if (speech.last_first_time) forbid(times + *speech.last_first_time + 1, all);
  }
  if (times_win(speech, logits)) forbid(0, times);
}

}  // namespace chiasm
