#pragma once
/// A tokenizer from Mistral's tekken.json, which comes instead of a tokenizer.json.
#include "core/json.h"
#include "language/tokenizer.h"

namespace chiasm::language {

/// Byte-level BPE in which the pair that makes the token of the lowest rank is merged first.
/// Special tokens come first, then the vocabulary up to `default_vocab_size`; `<s>` goes before a
/// text. Source: tiktoken, and mistral-common's Tekkenizer. ModelError for tables that do not fit
/// together.
Tokenizer tokenizer_from_tekken(const Json& tekken);

}  // namespace chiasm::language
