// The engine's guesses: several tokens of an answer checked in one step. Decoding reads all weights
// for each step, so further rows cost little.
#include <algorithm>
#include <utility>

#include "runtime/engine.h"
#include "runtime/lookup.h"

namespace chiasm {

namespace {

/// Guessed rows of one step, of all sequences: beyond some dozens rows cost as much as steps.
constexpr std::int64_t kGuessedRows = 48;

}  // namespace

/// Guesses how the answers of those that ask for it go on.
void Engine::guess() const {
  if (family_.decoder().kv_shape(options_.kv_dtype).fixed > 0)
    return;  // it could not be taken back
  std::int64_t budget = kGuessedRows;
  const auto& rope = family_.decoder().config().rope;
  for (const auto& s : running_) {
    if (s->done || s->options.lookup == 0 || !s->decoding()) continue;
    const std::int64_t left = s->options.max_tokens - std::int64_t(s->tokens.size()) - 1;
    const std::int64_t room = options_.max_context - s->rows();
    std::vector<std::int32_t> text = s->prompt.ids;
    text.insert(text.end(), s->tokens.begin() + s->dropped, s->tokens.end());
    s->guesses = look_up(text, std::min({s->options.lookup, left, room, budget}));
    if (rope.is_long(s->rows() + std::int64_t(s->guesses.size())) != s->is_long) s->guesses.clear();
    budget -= std::int64_t(s->guesses.size());
  }
}

/// Whether the logits of a row are of the answer: those behind a wrong guess are not.
bool Engine::counts(const Sequence& s, std::int64_t row) {
  if (s.guesses.empty()) return true;
  return !s.done && s.result.finish_reason.empty() && row - s.prefilled == s.accepted;
}

/// The next token is chosen: whether it is what was guessed.
void Engine::check_guess(Sequence& s) {
  if (s.done || !s.result.finish_reason.empty() || s.tokens.empty()) return;
  const auto next = std::size_t(s.accepted);
  if (next < s.guesses.size() && s.guesses[next] == s.tokens.back()) s.accepted++;
}

/// Takes back the rows of wrong guesses; returns how many of `count` rows stay.
std::int64_t Engine::settle_guesses(Sequence& s, std::int64_t count) {
  if (s.guesses.empty()) return count;
  s.guesses.clear();
  s.result.usage.guessed_tokens += s.accepted;
  const std::int64_t kept = 1 + std::exchange(s.accepted, 0);
  s.state->truncate(s.prefilled + kept);
  return kept;
}

}  // namespace chiasm
