// The engine's beam searches: the beams of a request run as sequences of one batch, which share
// pages of keys and values up to where they part.
#include <algorithm>
#include <utility>

#include "runtime/engine.h"

namespace chiasm {

/// Names the best continuations of a beam, from its logits.
void Engine::propose(Sequence& s, std::span<float> logits) {
  if (s.done) return;  // another beam's failure
  try {
    Beams& beams = *s.beams;
    const double log_sum = kernels::log_sum_exp(ctx_, logits);
    for (float& x : logits) x = float(double(x) - log_sum);
    shape(s, logits);  // of log-probabilities: transformers' order
    const auto place = std::ranges::find(beams.running, &s) - beams.running.begin();
    const std::size_t ends = s.options.ignore_eos ? 0 : options_.end_tokens.size();
    const auto most = int(beams.search.looked_at(ends));
    for (const auto& [id, log_probability] : kernels::top_logits(logits, most)) {
      beams.candidates.push_back({std::size_t(place), id, s.score + log_probability, {}});
    }
    beams.proposed++;
  } catch (...) {
    abandon(s, std::current_exception());
  }
}

/// Takes every search whose beams have all been computed one token further.
void Engine::advance_searches() {
  for (std::size_t i = 0; i < running_.size(); i++) {  // new beams come in behind
    Sequence& s = *running_[i];
    if (s.done || !s.beams || s.beams->leader != &s) continue;
    if (s.beams->proposed < s.beams->running.size()) continue;
    try {
      advance(s);
    } catch (...) {
      abandon(s, std::current_exception());
    }
  }
}

void Engine::advance(Sequence& leader) {
  Beams& beams = *leader.beams;
  const std::size_t ends = leader.options.ignore_eos ? 0 : options_.end_tokens.size();
  std::vector<BeamCandidate> candidates =
      best_candidates(std::exchange(beams.candidates, {}), beams.search.looked_at(ends));
  beams.proposed = 0;
  for (BeamCandidate& c : candidates) c.ending = ending(*beams.running[c.beam], c.token);
  const BeamSearch::Choice choice = beams.search.choose(candidates);
  for (const BeamCandidate& c : choice.finished) {
    std::vector<std::int32_t> tokens = beams.running[c.beam]->tokens;
    if (!is_end(leader, c.token)) tokens.push_back(c.token);
    beams.search.keep(std::move(tokens), c.ending, c.score);
  }
  if (beams.search.over(choice.running)) {
    tell_answers(leader);
    retire(leader);
  } else {
    go_on(leader, choice.running);
  }
}

/// Why an answer ends with `token`; empty where it does not.
std::string Engine::ending(const Sequence& beam, std::int32_t token) const {
  if (is_end(beam, token)) return "stop";
  if (!beam.options.stop.empty()) {
    TextStream text = *beam.stream;
    text.push(token);
    if (text.stopped()) return "stop";
  }
  const bool full = std::int64_t(beam.tokens.size()) + 1 == beam.options.max_tokens;
  return full ? "length" : "";
}

/// Makes the beams those that `chosen` names: some go on several times, some not at all.
void Engine::go_on(Sequence& leader, const std::vector<BeamCandidate>& chosen) {
  struct Past {
    language::SequenceState state;
    std::vector<std::int32_t> tokens, seen;
    std::optional<TextStream> stream;
  };
  Beams& beams = *leader.beams;
  std::vector<Past> pasts;
  for (const BeamCandidate& c : chosen) {
    const Sequence& from = *beams.running[c.beam];
    pasts.push_back({from.state->fork(from.state->length()), from.tokens, from.seen, from.stream});
  }
  while (beams.running.size() > chosen.size()) {
    retire(*beams.running.back());
    beams.running.pop_back();
  }
  while (beams.running.size() < chosen.size()) add_beam(leader);
  for (std::size_t i = 0; i < chosen.size(); i++) {
    Sequence& s = *beams.running[i];
    s.state = std::move(pasts[i].state);
    s.prefilled = s.state->length();
    s.tokens = std::move(pasts[i].tokens);
    s.seen = std::move(pasts[i].seen);
    s.stream = std::move(pasts[i].stream);
    s.score = chosen[i].score;
    s.say(chosen[i].token);
    s.stream->push(chosen[i].token);
  }
}

void Engine::add_beam(Sequence& leader) {
  auto beam = std::make_shared<Sequence>();
  beam->prompt = leader.prompt;
  beam->options = leader.options;
  beam->first_logits = leader.first_logits;
  beam->adjust = leader.adjust;
  beam->cross = leader.cross;
  beam->adapter = leader.adapter;
  beam->beams = leader.beams;
  beam->is_long = leader.is_long;
  leader.beams->running.push_back(beam.get());
  running_.push_back(std::move(beam));
}

/// The search is over: its best answers become the result.
void Engine::tell_answers(Sequence& leader) {
  const std::vector<BeamAnswer>& answers = leader.beams->search.answers();
  const auto wanted = std::min(answers.size(), std::size_t(leader.options.answers));
  std::vector<Result> results;
  for (const BeamAnswer& answer : std::span(answers).first(wanted)) {
    Result& r = results.emplace_back();
    r.text = text_of(answer.tokens, leader.options.stop);
    r.token_ids = answer.tokens;
    r.finish_reason = answer.finish_reason;
    r.usage = leader.result.usage;
    r.usage.completion_tokens = std::int64_t(answer.tokens.size());
    r.timings = leader.result.timings;
    r.score = answer.score;
  }
  leader.result = std::move(results.front());
  leader.result.others.assign(std::make_move_iterator(results.begin() + 1),
                              std::make_move_iterator(results.end()));
}

/// What TextStream gives for a whole answer.
std::string Engine::text_of(std::span<const std::int32_t> tokens,
                            const std::vector<std::string>& stop) const {
  TextStream stream(tokenizer_, stop);
  std::string text;
  for (const std::int32_t id : tokens) text += stream.push(id);
  return text + stream.flush();
}

}  // namespace chiasm
