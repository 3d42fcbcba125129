#pragma once
/// What a speech-to-text family adds to Family: the tokens that steer it, and times.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "audio/log_mel.h"
#include "language/tokenizer.h"

namespace chiasm {

/// The tokens of Whisper's prompt and answers, read from the tokenizer.
struct SpeechTokens {
  std::int32_t start = 0;  // <|startoftranscript|>
  std::int32_t end = 0;    // <|endoftext|>: text tokens are below it
  /// Codes ("en") and tokens, in the tokenizer's order. Empty: the model knows English alone and
  /// takes no task either.
  std::vector<std::pair<std::string, std::int32_t>> languages;
  std::int32_t transcribe = 0, translate = 0;
  std::int32_t no_speech = 0, no_timestamps = 0;
  std::int32_t first_time = 0;  // <|0.00|>; the ids above count on in steps of kTimeStep
  /// How many steps into a window the first time may lie, as generation_config.json has it.
  std::optional<std::int64_t> last_first_time;

  static constexpr double kTimeStep = 0.02;  // seconds

  /// ModelError naming the token that is missing.
  static SpeechTokens find(const language::Tokenizer& tokenizer);
  /// ModelError unless all of them are rows of the vocabulary.
  void check(std::int64_t vocab_size) const;
  bool is_time(std::int32_t id) const { return id >= first_time; }
  /// RequestError listing the known codes.
  std::int32_t language(const std::string& code) const;
};

/// A family's means to write down speech.
struct Speech {
  SpeechTokens tokens;
  const audio::LogMel* features = nullptr;
  std::int64_t window_frames = 0;
};

/// The rules of time tokens, on the logits of the next token after `tokens`: they come in pairs,
/// never go back, begin an answer, and win where together they are likelier than any other token.
/// Source: transformers' WhisperTimeStampLogitsProcessor; Radford et al., 2022, section 2.3.
void apply_time_rules(const SpeechTokens& speech, std::span<const std::int32_t> tokens,
                      std::span<float> logits);

}  // namespace chiasm
