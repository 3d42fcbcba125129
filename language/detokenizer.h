#pragma once
/// Text from tokens as they are generated.
#include <cstdint>
#include <string>
#include <vector>

#include "language/tokenizer.h"

namespace chiasm::language {

/// Takes one token after the other and gives out text as soon as its characters are complete. All
/// pieces together are what Tokenizer::decode gives for all tokens; for that, byte-fallback tokens
/// wait until their row has ended. One object for one sequence.
class Detokenizer {
 public:
  Detokenizer(Tokenizer tokenizer, bool skip_special_tokens);

  /// The text that became complete with this token: valid UTF-8, often empty.
  std::string push(std::int32_t id);
  /// What is left at the end; an unfinished character becomes U+FFFD. The object starts anew.
  std::string flush();

 private:
  std::string push_bytes(std::string_view token);
  std::string fresh_text() const;

  Tokenizer tokenizer_;
  bool skip_special_tokens_;
  std::string tail_;  // bytes of tokens that wait, since a character in them is unfinished
  // Other decoders look at neighbours: the last tokens that were given out, then those that wait.
  std::vector<std::int32_t> window_;
  std::size_t given_ = 0;  // how many of the window's tokens were given out
};

}  // namespace chiasm::language
