#pragma once
/// From logits to a token.
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/context.h"
#include "core/tensor.h"

namespace chiasm::kernels {

/// transformers' warpers, in its order: temperature, top-k, top-p, min-p. The repetition penalty
/// comes before them and is a step of its own (penalize_repetition).
struct SampleOptions {
  float temperature = 0;   // 0: greedy
  std::int32_t top_k = 0;  // 0: all
  double top_p = 1;        // double, since 1 - top_p is taken in double as transformers does
  float min_p = 0;
  std::uint64_t seed = 0;
};

/// logits[id] is divided by `penalty` where positive, multiplied where negative, for each distinct
/// id in `seen`; ids outside the vocabulary are passed over (Keskar et al., 2019, arXiv:1909.05858;
/// transformers' RepetitionPenaltyLogitsProcessor).
void penalize_repetition(std::span<float> logits, std::span<const std::int32_t> seen,
                         float penalty);

/// logits[id] += bias for each (id, bias) (OpenAI's logit_bias); ids outside the vocabulary are
/// passed over.
void add_bias(std::span<float> logits, std::span<const std::pair<std::int32_t, float>> bias);

/// logits[id] -= presence + frequency * (how often id is in `tokens`), for each id that is there at
/// all; ids outside the vocabulary are passed over. OpenAI's presence_penalty and
/// frequency_penalty, where `tokens` is the answer so far.
void penalize_counts(std::span<float> logits, std::span<const std::int32_t> tokens, float presence,
                     float frequency);

/// Leaves the tokens whose bit is set, all others become -infinity. Token i has bit i % 32 of word
/// i / 32; tokens beyond the words are not allowed. Whether any token is left that may be drawn.
bool keep_allowed(std::span<float> logits, std::span<const std::uint32_t> allowed);

/// The index of the largest value; the lowest index among equals. NaN is never chosen; all-NaN
/// (a broken model) is a RequestError.
std::int32_t argmax(const Context& ctx, std::span<const float> logits);

/// The scores that sampling draws from: logits / temperature with -infinity for every token that
/// temperature 0, top-k, top-p or min-p (in this order) removes. Exactly transformers' warpers:
/// equals of the k-th largest stay; top-p removes the least probable tokens whose cumulative
/// probability is at most 1 - top_p (among equals the higher id first); one token always stays.
/// NaN logits are removed. Throws RequestError for options out of range and where no finite logit
/// is largest.
std::vector<float> filter_logits(const Context& ctx, std::span<const float> logits,
                                 const SampleOptions& options);

/// Draws a token: the first, in order of ids, whose cumulative probability exceeds the random
/// number. The random number depends on (options.seed, position) alone, through a
/// counter-based generator, so a request is reproducible whatever runs beside it. The repetition
/// penalty is NOT applied here (see penalize_repetition). temperature 0 gives argmax.
std::int32_t sample(const Context& ctx, std::span<const float> logits, const SampleOptions& options,
                    std::uint64_t position);

/// How a device draws a token, without the filters that need the whole order of a vocabulary: the
/// largest logit at temperature 0, else the first token whose cumulative probability exceeds
/// `uniform`, which is in [0, 1).
struct Draw {
  float temperature = 0, uniform = 0;
};
/// Whether the options ask for no more than that.
bool draws_plainly(const SampleOptions& options);
/// What `sample` would draw with, rounded to float32.
Draw plain_draw(const SampleOptions& options, std::uint64_t position);

/// log(sum(exp(logits))), accumulated in double.
double log_sum_exp(const Context& ctx, std::span<const float> logits);

/// The `count` largest values as (id, logit), largest first, lower ids first among equals.
std::vector<std::pair<std::int32_t, float>> top_logits(std::span<const float> logits, int count);

}  // namespace chiasm::kernels
