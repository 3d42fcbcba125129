#pragma once
/// The decoders of `tokenizer.json`: from token texts back to a text.
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "language/pre_tokenizer_pattern.h"

namespace chiasm::language {

/// Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece and BPEDecoder.
/// Immutable.
class DecoderChain {
 public:
  /// Without a decoder tokens are joined by spaces.
  DecoderChain() = default;
  /// Reads the "decoder" object. ModelError names a type that is not supported.
  explicit DecoderChain(const Json& json);

  /// The text that the tokens stand for; bytes that are no UTF-8 become U+FFFD.
  std::string run(std::vector<std::string> tokens) const;

  /// Whether each token stands for its own bytes (ByteLevel alone), so that a text can be put
  /// together from the bytes of its tokens.
  bool is_bytes() const { return steps_.size() == 1 && steps_[0].kind == Kind::byte_level; }

  /// Whether the token stands for one byte, to be spelled with those beside it (ByteFallback).
  bool is_fallback_byte(std::string_view token) const;

  /// The bytes that one token in the midst of a text stands for.
  std::string bytes_of(std::string_view token) const;

 private:
  enum class Kind {
    byte_level,
    byte_fallback,
    fuse,
    replace,
    strip,
    metaspace,
    word_piece,
    word_end
  };
  struct Step {
    Kind kind;
    std::string content;              // replace: the new text; strip, metaspace: the character;
                                      // word_piece: the prefix; word_end: the suffix
    std::vector<Pattern> pattern;     // replace: one
    std::size_t start = 0, stop = 0;  // strip: how many at most
    bool drop_first = false;          // metaspace: the first token loses its marks
    bool cleanup = false;             // word_piece: English spacing
  };

  void add(const Json& json);
  static void apply(const Step& step, std::vector<std::string>& tokens);

  std::vector<Step> steps_;
};

}  // namespace chiasm::language
