#include "runtime/draft.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "kernels/pages.h"

namespace chiasm {

namespace {

constexpr std::int64_t kReadRows = 512;  // of prompts, in one call
constexpr std::size_t kRemembered = 8;   // sequences

std::vector<std::uint64_t> keys_of(std::span<const std::int32_t> text) {
  std::vector<std::uint64_t> keys;
  for (const std::int32_t id : text) keys.push_back(token_key(id));
  return keys;
}

/// The token that stands at `place` behind the text: of the text itself, then of guesses.
std::int32_t id_at(const Sequence& s, std::int64_t place) {
  const auto& text = s.drafted->text;
  const auto at = std::size_t(place);
  return at < text.size() ? text[at] : s.guesses[at - text.size()];
}

std::int64_t waiting_rows(const Sequence& s) {
  const Drafted& d = *s.drafted;
  return std::int64_t(d.text.size() + s.guesses.size()) - d.kv.length();
}

}  // namespace

void check_same_vocabulary(const language::Tokenizer& target, const language::Tokenizer& draft) {
  const std::int64_t common = std::min(target.vocab_size(), draft.vocab_size());
  for (std::int32_t id = 0; id < common; id++) {
    const std::string_view one = target.token_text(id), other = draft.token_text(id);
    if (one == other) continue;
    fail<RequestError>("token ", id, " is \"", other, "\" for the draft model and \"", one,
                       "\" for the model; a draft model needs the same vocabulary");
  }
  const language::Tokenizer& larger = target.vocab_size() > common ? target : draft;
  for (auto id = std::int32_t(common); id < larger.vocab_size(); id++) {
    if (larger.token_text(id).empty() || larger.is_structure(id)) continue;
    fail<RequestError>("the draft model has ", draft.vocab_size(), " tokens, the model ",
                       target.vocab_size(), ", among them \"", larger.token_text(id),
                       "\"; a draft model needs the same vocabulary");
  }
}

Draft::Draft(LoadedModel model, const language::Tokenizer& target, std::int64_t target_vocab,
             const Context& ctx)
    : model_(std::move(model)),
      ctx_(ctx),
      vocab_(std::min(target_vocab, model_.info.vocab_size)),
      pages_(decoder().kv_shape(model_.engine_options.kv_dtype), model_.engine_options.kv_pages),
      prefixes_(kRemembered) {
  check_same_vocabulary(target, *model_.tokenizer);
  if (pages_.shape().fixed > 0) {
    fail<RequestError>("family ", model_.info.family,
                       " cannot be a draft model: it keeps a state of fixed size, from which wrong "
                       "guesses cannot be taken back");
  }
  if (decoder().has_cross()) {
    fail<RequestError>("family ", model_.info.family,
                       " cannot be a draft model: it does not go on without its encoder");
  }
  model_.pool.reset();  // it runs with that of the model
  if (model_.info.packed_layout.empty()) model_.checkpoint.reset();
}

/// Takes in what the sequence has become; false where nothing is to be guessed.
bool Draft::read(Sequence& s) {
  if (s.drafted && s.drafted->dropped != s.dropped) end(s);  // its context slid
  const bool begins = !s.drafted;
  if (begins) {
    s.drafted = std::make_shared<Drafted>(Drafted{language::SequenceState(pages_)});
    s.drafted->dropped = s.dropped;
    s.drafted->is_medium.resize(std::size_t(s.prompt_length()));
    for (const PlacedMedium& medium : s.prompt.media) {
      for (const std::int32_t row : medium.rows) s.drafted->is_medium[std::size_t(row)] = true;
    }
  }
  Drafted& d = *s.drafted;
  for (; d.told < s.rows(); d.told++) {
    if (d.told < s.prompt_length() && d.is_medium[std::size_t(d.told)]) continue;
    d.text.push_back(s.id_of(d.told));
    d.unknown |= d.text.back() >= vocab_;
  }
  if (d.unknown || d.text.empty()) return false;
  if (begins) {
    d.kv = prefixes_.take(pages_, keys_of(d.text), std::int64_t(d.text.size()) - 1);
    d.fed.assign(d.text.begin(), d.text.begin() + d.kv.length());
  }
  return true;
}

/// Brings a sequence to where its next token can be guessed; false where there is no room for it.
bool Draft::follow(Sequence& s, std::int64_t most, std::int64_t& promised) {
  if (!read(s)) return false;
  Drafted& d = *s.drafted;
  const std::int64_t length = std::int64_t(d.text.size()) + most;
  if (length > model_.engine_options.max_context) return false;
  if (const bool is_long = decoder().config().rope.is_long(length); is_long != d.is_long) {
    d.is_long = is_long;  // the rows are turned otherwise
    d.kv.clear();
  }
  const auto same = std::ranges::mismatch(d.fed, d.text).in1 - d.fed.begin();
  d.kv.truncate(std::min<std::int64_t>(same, std::int64_t(d.text.size()) - 1));
  d.fed.resize(std::size_t(d.kv.length()));
  // One more: a page shared with a remembered sequence is copied before it is written.
  const std::int64_t pages = kernels::pages_for(length) + 1 - std::int64_t(d.kv.pages().size());
  while (promised + pages > pages_.available() && prefixes_.forget_one()) {
  }
  if (promised + pages > pages_.available()) return false;
  promised += std::max<std::int64_t>(pages, 0);
  return true;
}

void Draft::guess(std::span<const Wanted> wanted, const Choose& choose) {
  std::vector<Wanted> active;
  std::int64_t promised = 0;
  for (const Wanted& w : wanted) {
    if (follow(*w.sequence, w.most, promised)) active.push_back(w);
  }
  for (std::int64_t budget = kReadRows; !active.empty();) {
    const std::vector<bool> went_on = feed(active, budget, choose);
    std::vector<Wanted> still;
    for (std::size_t i = 0; i < active.size(); i++) {
      const auto guesses = std::int64_t(active[i].sequence->guesses.size());
      if (went_on[i] && guesses < active[i].most) still.push_back(active[i]);
    }
    active = std::move(still);
  }
}

/// One call of the decoder: what sequences have not been told yet, as far as the budget goes. Which
/// of them got a guess.
std::vector<bool> Draft::feed(std::span<const Wanted> active, std::int64_t& budget,
                              const Choose& choose) {
  std::vector<std::int32_t> ids;
  std::vector<language::BatchPart> parts;
  std::vector<std::size_t> fed;  // which of `active` the parts are of
  for (std::size_t i = 0; i < active.size(); i++) {
    Sequence& s = *active[i].sequence;
    Drafted& d = *s.drafted;
    // A single row is a guess's, or behind what is read already; those are few.
    const std::int64_t all = waiting_rows(s), rows = all == 1 ? 1 : std::min(all, budget);
    if (rows <= 0) continue;
    if (all > 1) budget -= rows;
    for (std::int64_t k = 0; k < rows; k++) ids.push_back(id_at(s, d.kv.length() + k));
    d.fed.insert(d.fed.end(), ids.end() - rows, ids.end());
    parts.push_back({.state = &d.kv, .rows = rows, .is_long = d.is_long});
    fed.push_back(i);
  }
  std::vector<bool> went_on(active.size(), false);
  if (ids.empty()) return went_on;
  const auto count = std::int64_t(ids.size());
  arena_.reserve(step_bytes(count));
  const Arena::Frame frame(arena_);
  const auto x = arena_.floats({count, decoder().config().hidden_size}, "draft rows");
  decoder().embed(ctx_, ids, x);
  decoder().forward(ctx_, pages_, parts, arena_, x);
  std::int64_t row = -1;
  for (std::size_t i = 0; i < parts.size(); i++) {
    row += parts[i].rows;
    Sequence& s = *active[fed[i]].sequence;
    if (waiting_rows(s) > 0) continue;
    const Arena::Frame one(arena_);
    const auto logits = arena_.floats({1, decoder().config().vocab_size}, "draft logits");
    decoder().logits(ctx_, x.slice_rows(row, 1), logits);
    const auto next = choose(s, {logits.data(), std::size_t(vocab_)});
    if (!next) continue;
    s.guesses.push_back(*next);
    went_on[fed[i]] = true;
  }
  return went_on;
}

void Draft::end(Sequence& s) {
  Drafted& d = *s.drafted;
  if (d.kv.length() > 0 && !d.is_long) {
    d.fed.resize(std::size_t(d.kv.length()));
    prefixes_.put(keys_of(d.fed), std::move(d.kv));
  }
  s.drafted.reset();
}

std::size_t Draft::step_bytes(std::int64_t rows) const {
  const auto& c = decoder().config();
  return std::size_t(rows * (c.hidden_size + c.scratch_floats()) + c.vocab_size) * sizeof(float);
}

std::int64_t Draft::request_bytes(const Sequence& s, std::int64_t most) const {
  std::int64_t words = s.prompt_length();
  for (const PlacedMedium& medium : s.prompt.media) words -= std::int64_t(medium.rows.size());
  const std::int64_t length =
      std::min(words + s.options.max_tokens + most, model_.engine_options.max_context);
  return kernels::pages_for(length) * kernels::kPageTokens *
             std::int64_t(pages_.shape().token_bytes()) +
         std::int64_t(step_bytes(std::clamp<std::int64_t>(words, 1, kReadRows)));
}

}  // namespace chiasm
