#pragma once
/// Reader of SentencePiece's model files (tokenizer.model, spiece.model): protocol buffers of the
/// message ModelProto. Source: https://github.com/google/sentencepiece,
/// src/sentencepiece_model.proto; Kudo and Richardson, 2018, arXiv:1808.06226.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace chiasm::language {

struct SentencePieceModel {
  enum class Kind : std::int64_t { unigram = 1, bpe = 2, word = 3, characters = 4 };

  std::vector<std::string> pieces;
  std::vector<double> scores;
  std::vector<std::int64_t> kinds;  // PieceKind

  Kind kind = Kind::unigram;
  bool byte_fallback = false, space_behind = false;           // treat_whitespace_as_suffix
  std::int64_t unknown_id = 0, begin_id = 1, end_id = 2;      // -1: none
  std::string charsmap;                                       // precompiled; empty: none
  bool prefixed = true, trims = true, escapes_spaces = true;  // add_dummy_prefix,
                                                              // remove_extra_whitespaces
};

/// Parses a whole file's bytes. FormatError names `file` and the offset for: lengths past the end,
/// numbers that are too long, groups, fields of another wire type than the message gives them, an
/// unknown kind of model or piece, scores that are not finite, an id outside the vocabulary, no
/// pieces at all.
SentencePieceModel parse_sentencepiece(std::span<const std::byte> bytes, const std::string& file);

}  // namespace chiasm::language
