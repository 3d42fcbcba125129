#include "runtime/beam_search.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace chiasm {

std::vector<BeamCandidate> best_candidates(std::vector<BeamCandidate> candidates,
                                           std::size_t count) {
  std::ranges::stable_sort(candidates, std::ranges::greater(), &BeamCandidate::score);
  if (candidates.size() > count) candidates.resize(count);
  return candidates;
}

BeamSearch::BeamSearch(const GenerateOptions& options)
    : beams_(std::size_t(options.num_beams)),
      length_penalty_(options.length_penalty),
      early_stopping_(options.early_stopping),
      max_tokens_(options.max_tokens) {}

std::size_t BeamSearch::looked_at(std::size_t end_tokens) const {
  return std::max<std::size_t>(2, 1 + end_tokens) * beams_;
}

BeamSearch::Choice BeamSearch::choose(const std::vector<BeamCandidate>& candidates) {
  length_++;
  Choice out;
  for (std::size_t i = 0; i < candidates.size(); i++) {
    const BeamCandidate& candidate = candidates[i];
    if (candidate.ending.empty()) {
      if (out.running.size() < beams_) out.running.push_back(candidate);
    } else if (i < beams_) {  // one below that ends was no better than what goes on
      out.finished.push_back(candidate);
    }
  }
  return out;
}

float BeamSearch::normalized(float log_probability, std::int64_t length) const {
  return log_probability / float(std::pow(double(length), length_penalty_));
}

void BeamSearch::keep(std::vector<std::int32_t> tokens, std::string finish_reason,
                      float log_probability) {
  const float score = normalized(log_probability, length_);
  const auto at = std::ranges::upper_bound(answers_, score, std::ranges::greater(),
                                           &BeamAnswer::score);  // behind its equals
  answers_.insert(at, {std::move(tokens), std::move(finish_reason), score});
  if (answers_.size() > beams_) answers_.pop_back();
}

bool BeamSearch::over(const std::vector<BeamCandidate>& running) const {
  if (running.empty()) return true;
  if (answers_.size() < beams_) return false;
  if (early_stopping_ == EarlyStopping::at_once) return true;
  // Under a penalty over 0 long answers gain: the best that can be is the score of now at the
  // greatest length.
  const bool longest = early_stopping_ == EarlyStopping::never && length_penalty_ > 0;
  const float best = normalized(running.front().score, longest ? max_tokens_ : length_);
  return !(best > answers_.back().score);
}

}  // namespace chiasm
