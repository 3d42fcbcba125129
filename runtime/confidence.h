#pragma once
/// How far a window's words are to be believed: what decides whether they are asked for again.
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/context.h"

namespace chiasm {

/// The bytes of the tokens over those of the same packed by zlib: over 1.35 or so, they repeat
/// themselves. As many bytes a token as the vocabulary needs. Source: transformers'
/// WhisperGenerationMixin._retrieve_compression_ratio.
double compression_ratio(std::span<const std::int32_t> tokens, std::int64_t vocab_size);

/// Mean log-probability of chosen tokens, the end token among them, by the logits that they were
/// chosen from, before a temperature. It is told the logits of each step, and sees what was chosen
/// at the next. Source: transformers' WhisperGenerationMixin._retrieve_avg_logprobs.
class MeanLogprob {
 public:
  explicit MeanLogprob(const Context& ctx) : ctx_(ctx) {}

  /// Before each token is chosen. tokens: those before it.
  void step(std::span<const std::int32_t> tokens, std::span<const float> logits);
  /// After the last one. tokens: all of them, `end` being chosen after them where `ended`.
  double mean(std::span<const std::int32_t> tokens, bool ended, std::int32_t end) const;

 private:
  double last(std::int32_t chosen) const;

  const Context& ctx_;
  std::vector<float> logits_;  // of the step before
  double log_sum_ = 0, sum_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace chiasm
