#pragma once
/// SentencePiece's BPE vocabularies, which hold scores, as the merges that tokenizer.json holds.
#include <cstdint>
#include <span>
#include <string_view>

#include "core/json.h"

namespace chiasm::language {

/// Kinds of SentencePiece's tokens (ModelProto.SentencePiece.Type), in GGUF files too
/// (tokenizer.ggml.token_type).
enum PieceKind : std::int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

/// All pairs of two pieces that make a third, the best scores first, as transformers'
/// SentencePieceExtractor writes them. Normal and user-defined pieces alone take part. All spans
/// have one length.
nlohmann::json piece_merges(std::span<const std::string_view> pieces,
                            std::span<const std::int64_t> kinds, std::span<const double> scores);

}  // namespace chiasm::language
