#pragma once
/// The "model" of a tokenizer.json: what turns a word into ids.
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "core/json.h"
#include "language/tokenizer_bpe.h"
#include "language/tokenizer_unigram.h"
#include "language/tokenizer_wordpiece.h"

namespace chiasm::language {

/// BPE, Unigram or WordPiece. Immutable but for marks right after construction; not copyable.
class TokenModel {
 public:
  /// ModelError names a type that is not supported.
  explicit TokenModel(const Json& json);

  /// What encoding many words needs between them; one object serves one thread.
  class Scratch {
   public:
    /// Whether words may become structure.
    void trust(bool value);

   private:
    friend class TokenModel;
    Bpe::Scratch bpe_;
    Unigram::Scratch unigram_;
    bool trusted_ = true;
  };

  /// Appends the ids of one word of the pre-tokenizer.
  void encode(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& ids) const;

  const Vocabulary& vocabulary() const;
  Vocabulary& vocabulary();

 private:
  using Any = std::variant<Bpe, Unigram, WordPiece>;
  static Any read(const Json& json);

  Any model_;
};

}  // namespace chiasm::language
