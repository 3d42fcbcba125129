#pragma once
/// From tokens to text that may be shown: whole characters, nothing of a stop string.
#include <string>
#include <vector>

#include "language/detokenizer.h"

namespace chiasm {

/// Holds back text that might be the beginning of a stop string, across token borders.
class TextStream {
 public:
  TextStream(const language::Tokenizer& tokenizer, std::vector<std::string> stop)
      : detokenizer_(tokenizer, /*skip_special_tokens=*/true), stop_(std::move(stop)) {}

  /// Takes a token; returns the text that has become certain.
  std::string push(std::int32_t id);
  /// The rest, when the answer has ended without a stop string.
  std::string flush();
  /// Whether a stop string has been met; nothing more comes then.
  bool stopped() const { return stopped_; }

 private:
  std::string settle(bool final);

  language::Detokenizer detokenizer_;
  std::vector<std::string> stop_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace chiasm
