#pragma once
/// What prompts an engine was given lately: a request goes where most of its prompt is at hand.
#include <cstdint>
#include <list>
#include <vector>

#include "core/hash.h"
#include "runtime/prompt.h"

namespace chiasm {

/// A prompt in brief: a hash of each beginning of whole pages, and its media.
struct PromptMarks {
  struct Medium {
    ContentHash hash;
    std::int64_t first_row, tokens;
  };
  std::vector<std::uint64_t> beginnings;  // of 64 tokens, 128, ...
  std::vector<Medium> media;
};
PromptMarks marks_of(const Prompt& prompt);

/// The latest few. They say what an engine's caches may still hold (PrefixCache, EncoderCache),
/// which its own loop alone can look into: a wrong guess costs time, never an answer.
class RecentPrompts {
 public:
  explicit RecentPrompts(std::size_t prompts) : limit_(prompts) {}

  /// Tokens of a prompt that an earlier one began with, and those of media behind them that an
  /// earlier one showed too.
  std::int64_t known_tokens(const PromptMarks& prompt) const;
  void add(PromptMarks prompt);

 private:
  std::size_t limit_;
  std::list<PromptMarks> prompts_;  // the latest first
};

}  // namespace chiasm
