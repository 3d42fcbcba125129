#include "runtime/recent_prompts.h"

#include <algorithm>
#include <utility>

#include "kernels/pages.h"

namespace chiasm {

namespace {

std::int64_t common_pages(const PromptMarks& a, const PromptMarks& b) {
  return std::ranges::mismatch(a.beginnings, b.beginnings).in1 - a.beginnings.begin();
}

}  // namespace

PromptMarks marks_of(const Prompt& prompt) {
  PromptMarks marks;
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < prompt.keys.size(); i++) {
    hash = mix64(hash ^ prompt.keys[i]);
    if ((i + 1) % std::size_t(kernels::kPageTokens) == 0) marks.beginnings.push_back(hash);
  }
  for (const PlacedMedium& medium : prompt.media) {
    if (medium.rows.empty()) continue;  // what no key stands for is not kept
    marks.media.push_back({medium.hash, medium.rows.front(), medium.layout.tokens});
  }
  return marks;
}

std::int64_t RecentPrompts::known_tokens(const PromptMarks& prompt) const {
  std::int64_t known = 0;
  for (const PromptMarks& other : prompts_) known = std::max(known, common_pages(prompt, other));
  known *= kernels::kPageTokens;
  const std::int64_t begun = known;
  for (const PromptMarks::Medium& medium : prompt.media) {
    const bool shown = std::ranges::any_of(prompts_, [&](const PromptMarks& other) {
      return std::ranges::find(other.media, medium.hash, &PromptMarks::Medium::hash) !=
             other.media.end();
    });
    if (shown && medium.first_row >= begun) known += medium.tokens;
  }
  return known;
}

void RecentPrompts::add(PromptMarks prompt) {
  // One that this continues would never be the longer match again.
  std::erase_if(prompts_, [&](const PromptMarks& other) {
    return common_pages(prompt, other) == std::int64_t(other.beginnings.size()) &&
           other.media.size() <= prompt.media.size();
  });
  prompts_.push_front(std::move(prompt));
  if (prompts_.size() > limit_) prompts_.pop_back();
}

}  // namespace chiasm
