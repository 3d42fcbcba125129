// The engine's guesses: several tokens of an answer checked in one step. Decoding reads all weights
// for each step, so further rows cost little.
#include <algorithm>
#include <utility>

#include "runtime/draft.h"
#include "runtime/engine.h"
#include "runtime/lookup.h"

namespace chiasm {

namespace {

/// Guessed rows of one step, of all sequences: beyond some dozens rows cost as much as steps.
constexpr std::int64_t kGuessedRows = 48;

}  // namespace

/// Guesses how the answers of those that ask for it go on: from their own words, else by the draft
/// model.
void Engine::guess() {
  if (family_.decoder().kv_shape(options_.kv_dtype).fixed > 0)
    return;  // it could not be taken back
  std::int64_t budget = kGuessedRows;
  const auto& rope = family_.decoder().config().rope;
  std::vector<Draft::Wanted> wanted;
  for (const auto& s : running_) {
    if (s->done || s->beams || !s->decoding()) continue;
    const std::int64_t left = s->options.max_tokens - std::int64_t(s->tokens.size()) - 1;
    const std::int64_t room = options_.max_context - s->rows();
    const std::int64_t most = std::min({left, room, budget});
    if (s->options.lookup > 0) {
      std::vector<std::int32_t> text = s->prompt.ids;
      text.insert(text.end(), s->tokens.begin() + s->dropped, s->tokens.end());
      s->guesses = look_up(text, std::min(s->options.lookup, most));
      if (rope.is_long(s->rows() + std::int64_t(s->guesses.size())) != s->is_long) {
        s->guesses.clear();
      }
      budget -= std::int64_t(s->guesses.size());
    }
    const std::int64_t drafted = std::min(drafted_tokens(*s), most);
    if (!s->guesses.empty() || drafted <= 0) continue;
    if (rope.is_long(s->rows() + drafted) != s->is_long) continue;
    wanted.push_back({s.get(), drafted});
    budget -= drafted;
  }
  if (wanted.empty()) return;
  const double start = seconds_now();
  const Timed timed = enter("draft");
  try {
    draft_->guess(
        wanted, [&](const Sequence& s, std::span<float> logits) { return next_guess(s, logits); });
  } catch (const Error&) {  // such as logits without a number: the answers go on without guesses
    for (const Draft::Wanted& w : wanted) {
      w.sequence->guesses.clear();
      w.sequence->drafted.reset();
    }
  }
  for (const Draft::Wanted& w : wanted) w.sequence->result.timings.decode += seconds_now() - start;
}

/// How many tokens the draft model guesses ahead for a sequence.
std::int64_t Engine::drafted_tokens(const Sequence& s) const {
  return draft_ == nullptr ? 0 : s.options.draft_tokens.value_or(options_.draft_tokens);
}

/// Draws from the draft's logits as the answer's own token is drawn, by the same settings and the
/// same random number: the closer the two models, the more often it is the same. None where the
/// answer would end. A form that the answer must have is not asked: it hears each token once.
std::optional<std::int32_t> Engine::next_guess(const Sequence& s, std::span<float> logits) const {
  std::vector<std::int32_t> tokens = s.tokens, seen = s.seen;
  tokens.insert(tokens.end(), s.guesses.begin(), s.guesses.end());
  if (s.options.repetition_penalty != 1) {
    for (const std::int32_t id : s.guesses) {
      if (std::ranges::find(seen, id) == seen.end()) seen.push_back(id);
    }
  }
  penalize(s.options, tokens, seen, logits);
  const std::int32_t token = kernels::sample(ctx_, logits, s.sampling(), tokens.size());
  if (is_end(s, token)) return std::nullopt;
  return token;
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
  s.result.usage.guessed_tokens += s.accepted;
  s.result.usage.rejected_tokens += std::int64_t(s.guesses.size()) - s.accepted;
  s.guesses.clear();
  const std::int64_t kept = 1 + std::exchange(s.accepted, 0);
  s.state->truncate(s.prefilled + kept);
  return kept;
}

}  // namespace chiasm
