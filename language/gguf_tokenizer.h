#pragma once
/// A tokenizer from a GGUF file's metadata.
#include "core/gguf.h"
#include "language/tokenizer.h"

namespace chiasm::language {

/// Byte-level BPE (tokenizer.ggml.model "gpt2") from tokenizer.ggml.tokens, merges and token_type,
/// pre-tokenized as tokenizer.ggml.pre says (smollm, gpt-2, default, llama-bpe, llama3, qwen2); or
/// SentencePiece ("llama") from tokens, scores and token_type. Begin and end tokens by their ids,
/// put around a text where add_bos_token and add_eos_token say so, by default where llama.cpp does.
/// ModelError for other models and pre-tokenizers, and for tables that do not fit together.
Tokenizer tokenizer_from_gguf(const GgufContents& gguf);

}  // namespace chiasm::language
