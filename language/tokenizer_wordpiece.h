#pragma once
/// WordPiece: the longest tokens from the left, BERT's way. Source: Devlin et al., 2019,
/// arXiv:1810.04805, as the `tokenizers` library does it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "language/vocabulary.h"

namespace chiasm::language {

class WordPiece {
 public:
  /// Reads the "model" object. ModelError names what is inconsistent.
  explicit WordPiece(const Json& json);

  /// Appends the ids of one word: its longest token, then the longest that continues it, and so on;
  /// the unknown token alone where a part fits none or the word has too many characters. Untrusted
  /// words never become structure.
  void encode(std::string_view word, bool trusted, std::vector<std::int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  Vocabulary& vocabulary() { return vocabulary_; }

 private:
  /// Where the longest token at `begin` of `word` ends; `begin` when there is none.
  std::size_t longest(std::string_view word, std::size_t begin, bool trusted,
                      std::int32_t& id) const;

  Vocabulary vocabulary_;
  std::string prefix_;  // of tokens that continue a word
  std::int32_t unknown_ = 0;
  std::int64_t longest_word_ = 0;  // characters
  std::size_t longest_token_ = 0;  // bytes
};

}  // namespace chiasm::language
