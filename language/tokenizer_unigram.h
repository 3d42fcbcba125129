#pragma once
/// Unigram language model: the likeliest way to put a word together. Source: Kudo, 2018,
/// arXiv:1804.10959, as the `tokenizers` library does it.
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "language/vocabulary.h"

namespace chiasm::language {

class Unigram {
 public:
  /// Reads the "model" object. ModelError names what is inconsistent.
  explicit Unigram(const Json& json);

  /// What encoding many words needs between them; one object serves one thread.
  struct Scratch {
    struct Best {
      double score = 0;       // log-probability of the best way to get here
      std::size_t begin = 0;  // where its last token begins
      std::int32_t id = -1;   // that token; -1: nothing ends here
    };
    std::vector<Best> best;  // by byte
  };

  /// Appends the ids of one word: the tokens of largest total log-probability. A character that no
  /// token spells is unknown; unknown ones in a row are one, or the bytes that spell them.
  /// Untrusted words never become structure. RequestError for an unknown character where the
  /// vocabulary has no unknown token.
  void encode(std::string_view word, bool trusted, Scratch& scratch,
              std::vector<std::int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  Vocabulary& vocabulary() { return vocabulary_; }

 private:
  void find_best(std::string_view word, bool trusted, Scratch& scratch) const;
  void append(std::string_view piece, std::int32_t id, bool trusted,
              std::vector<std::int32_t>& ids) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;            // by id
  std::vector<std::int32_t> sorted_;      // ids in the order of their bytes, each text once
  std::array<std::size_t, 257> first_{};  // by first byte: where in sorted_ its tokens begin
  std::array<std::int32_t, 256> byte_ids_{};
  std::optional<std::int32_t> unknown_;
  double unknown_score_ = 0;
  bool byte_fallback_ = false;
};

}  // namespace chiasm::language
