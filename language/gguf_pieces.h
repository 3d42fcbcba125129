#pragma once
/// SentencePiece's vocabularies of a GGUF file (tokenizer.ggml.model "llama") as a tokenizer.json.
#include <span>
#include <string_view>

#include "core/gguf.h"
#include "core/json.h"
#include "language/piece_merges.h"

namespace chiasm::language {

/// The parts of a tokenizer.json that such a vocabulary decides: normalizer, decoder and model. The
/// merges are those of two pieces that make a third, the best scores first, as transformers'
/// SentencePieceExtractor writes them. ModelError for tables that do not fit together.
nlohmann::json piece_parts(const GgufContents& gguf, std::span<const std::string_view> tokens,
                           std::span<const std::int64_t> types, const nlohmann::json& vocab);

}  // namespace chiasm::language
