#pragma once
/// Beam search: which continuations of several answers go on, and which finished ones are kept.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/request.h"

namespace chiasm {

/// A running answer and one token more.
struct BeamCandidate {
  std::size_t beam = 0;  // the answer, by its place among those that run
  std::int32_t token = 0;
  float score = 0;     // log-probability of the answer with this token
  std::string ending;  // why it ends here, as Result::finish_reason; empty: it goes on
};

/// A finished answer.
struct BeamAnswer {
  std::vector<std::int32_t> tokens;  // without the end token
  std::string finish_reason;
  float score = 0;  // see Result::score
};

/// The best `count` of `candidates`, best first; of equals the one that stands first.
std::vector<BeamCandidate> best_candidates(std::vector<BeamCandidate> candidates,
                                           std::size_t count);

/// One search. Scores are float32, as in the reference, so that equals are equals in both.
/// Source: GenerationMixin._beam_search of transformers 5. One difference: where stop strings end
/// more candidates than the search can spare, it goes on with fewer beams; transformers goes on
/// with ended ones, at a score of -1e9.
class BeamSearch {
 public:
  /// Of `options` the beams, the penalty, the ending and max_tokens count.
  explicit BeamSearch(const GenerateOptions& options);

  /// How many of a step's continuations are looked at, where so many tokens end an answer: enough
  /// that all beams can go on if each meets every end token.
  std::size_t looked_at(std::size_t end_tokens) const;

  /// Of the continuations that a step looks at, best first.
  struct Choice {
    std::vector<BeamCandidate> running;   // those that go on, as many as there are beams at most
    std::vector<BeamCandidate> finished;  // those that end and may be kept
  };
  /// Takes the search one token further.
  Choice choose(const std::vector<BeamCandidate>& candidates);
  /// Keeps a finished answer of the step if it is among the best; `log_probability` is its whole.
  void keep(std::vector<std::int32_t> tokens, std::string finish_reason, float log_probability);
  /// Whether nothing more is to come: no answer runs, or none of them is worth it.
  bool over(const std::vector<BeamCandidate>& running) const;

  /// What was kept, best first; at most as many as there are beams.
  const std::vector<BeamAnswer>& answers() const { return answers_; }

 private:
  float normalized(float log_probability, std::int64_t length) const;

  std::size_t beams_;
  double length_penalty_;
  EarlyStopping early_stopping_;
  std::int64_t max_tokens_, length_ = 0;  // tokens of every running answer, end tokens counted
  std::vector<BeamAnswer> answers_;
};

}  // namespace chiasm
