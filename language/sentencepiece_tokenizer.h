#pragma once
/// A SentencePiece model as a tokenizer.json, for folders without one.
#include "core/json.h"
#include "language/sentencepiece_model.h"

namespace chiasm::language {

/// What transformers 5 makes of `model` for the "tokenizer_class" of `config`
/// (tokenizer_config.json): LlamaTokenizer, GemmaTokenizer and XLMRobertaTokenizer in their own
/// ways; any other, and none, as the model's own normalizer says. "added_tokens_decoder", and the
/// special tokens that `config` names, are added tokens. `file` names the model in errors.
/// ModelError for kinds of models other than Unigram and BPE, spaces behind words, pieces that are
/// no UTF-8 or come twice, added tokens whose ids leave gaps or name other pieces, and
/// SiglipTokenizer, which changes texts in a way that tokenizer.json cannot say.
Json sentencepiece_tokenizer_json(const SentencePieceModel& model, const Json& config,
                                  const std::string& file);

}  // namespace chiasm::language
