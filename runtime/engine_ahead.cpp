// The engine's steps on a device that chooses the tokens: the next one is asked for before those of
// the last are read, so that the device goes from step to step while the host takes a token apart,
// shows it and looks whether the answer ends there.
#include <algorithm>
#include <utility>

#include "runtime/engine.h"
#include "runtime/part_rows.h"

namespace chiasm {

/// Whether a device can choose the next token of every sequence by itself: each has one new token,
/// and nothing has a say in the next one's logits or wants to see them.
bool Engine::chooses_on_device(const List& sequences) const {
  if (ctx_.tap != nullptr || !options_.suppressed.empty()) return false;
  return std::ranges::all_of(sequences, [](const auto& s) {
    const GenerateOptions& o = s->options;
    const bool plain = o.repetition_penalty == 1 && o.presence_penalty == 0 &&
                       o.frequency_penalty == 0 && o.logit_bias.empty() && o.logprobs == 0 &&
                       kernels::draws_plainly(s->sampling());
    return s->decoding() && !s->tokens.empty() && s->guesses.empty() && plain && !s->adjust &&
           !s->mask && !s->beams && !s->adapter;
  });
}

/// The first of such steps, with tokens that the host knows.
void Engine::decode_on_device(const List& sequences) {
  const Timed timed = enter("decode");
  std::vector<std::int32_t> ids;
  for (const auto& s : sequences) ids.push_back(s->tokens.back());
  try {
    drawn_->set(ids);
    ask_for_tokens(sequences);
  } catch (...) {
    for (const auto& s : sequences) abandon(*s, std::current_exception());
    return;
  }
  if (!goes_on(sequences)) follow_device();
}

/// One step; its words are the tokens that lie in the device's memory.
void Engine::ask_for_tokens(const List& sequences) {
  std::vector<PartRows> rows;
  rows.reserve(sequences.size());
  std::vector<language::BatchPart> parts;
  std::vector<kernels::Draw> draws;
  for (const auto& s : sequences) {
    const std::int64_t before = s->state->length() + 1 - s->prompt_length() + s->dropped;
    draws.push_back(kernels::plain_draw(s->sampling(), std::uint64_t(before)));
    parts.push_back(decoder_part(*s, 1, rows));
  }
  const double now = seconds_now();
  family_.decoder().decode(ctx_, pages_, parts, *drawn_, draws);
  ahead_.emplace(Ahead{sequences, drawn_->fetch(), now});
}

/// Whether a further step can follow the one that the device is at: with the same sequences, none
/// of which ends for sure, and with nothing that the host has to do before it. An answer that turns
/// out to have ended has a row too many in it, which nobody reads.
bool Engine::goes_on(const List& sequences) const {
  if (ctx_.tap != nullptr || ctx_.profile != nullptr) return false;
  const auto& rope = family_.decoder().config().rope;
  const bool all_may = std::ranges::all_of(sequences, [&](const auto& s) {
    const bool guesses = s->options.lookup > 0 || drafted_tokens(*s) > 0;
    return !s->done && !s->cancelled && !guesses &&
           std::int64_t(s->tokens.size()) + 1 < s->options.max_tokens &&
           s->rows() + 1 <= options_.max_context &&
           (s->is_long || !rope.is_long(s->state->length() + 1));
  });
  return all_may && std::ranges::none_of(running_, [&](const auto& s) {
           return std::ranges::find(sequences, s) == sequences.end() &&
                  rows_now(*s, options_.prefill_rows) > 0;
         });
}

/// Asks for the next step, where there is one, and reads the tokens of the last.
void Engine::follow_device() {
  const Timed timed = enter("decode");
  std::optional<Ahead> last(std::move(ahead_));
  ahead_.reset();
  try {
    if (goes_on(last->sequences)) {
      ask_for_tokens(last->sequences);
      steps_ahead_++;
    }
    read_tokens(*last);
  } catch (...) {
    ahead_.reset();
    for (const auto& s : last->sequences) {
      if (!s->done) abandon(*s, std::current_exception());
    }
  }
  const auto is_done = [](const auto& s) { return s->done; };
  if (ahead_ && std::ranges::all_of(ahead_->sequences, is_done)) ahead_.reset();
}

/// Waits for the tokens and tells the sequences that are still there.
void Engine::read_tokens(Ahead& step) {
  const std::vector<std::int32_t> drawn = step.tokens.take();
  const double now = seconds_now(), seconds = now - std::max(step.since, last_read_);
  last_read_ = now;
  for (std::size_t i = 0; i < drawn.size(); i++) {
    Sequence& s = *step.sequences[i];
    if (s.done) continue;
    s.result.timings.decode += seconds;
    s.prefilled++;
    try {
      if (drawn[i] < 0) {
        fail<RequestError>("none of the logits is a finite number; no token can be drawn");
      }
      accept(s, drawn[i]);
    } catch (...) {
      abandon(s, std::current_exception());
      continue;
    }
    if (!s.result.finish_reason.empty()) finish(s, s.result.finish_reason);
  }
}

}  // namespace chiasm
