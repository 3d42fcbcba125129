#pragma once
/// A tokenizer from a GGUF file's metadata.
#include <optional>
#include <string>
#include <string_view>

#include "core/gguf.h"
#include "language/tokenizer.h"

namespace chiasm::language {

/// A token by a text that may not be the file's.
struct TokenName {
  std::int32_t id;
  std::string text;
};

/// Byte-level BPE (tokenizer.ggml.model "gpt2") from tokenizer.ggml.tokens, merges and token_type,
/// pre-tokenized as tokenizer.ggml.pre says (smollm, gpt-2, default, llama-bpe, llama3, qwen2); or
/// SentencePiece ("llama") from tokens, scores and token_type. Begin and end tokens by their ids,
/// put around a text where add_bos_token and add_eos_token say so, by default where llama.cpp does.
/// `renamed`, where given, becomes a special token. ModelError for other models and pre-tokenizers,
/// and for tables that do not fit together.
Tokenizer tokenizer_from_gguf(const GgufContents& gguf,
                              const std::optional<TokenName>& renamed = std::nullopt);

/// The id of the token `text`. ModelError when there is none.
std::int32_t gguf_token(const GgufContents& gguf, std::string_view text);

/// The token of a picture's rows: `text` itself, or, where a file of words alone lacks it, one that
/// stands in for it since no text becomes it: a reserved token, or the unknown one where bytes take
/// its place. ModelError when there is no such token.
TokenName picture_token(const GgufContents& gguf, std::string_view text);

}  // namespace chiasm::language
