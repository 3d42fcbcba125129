#pragma once
/// BERT's vocab.txt, for folders older than tokenizer.json.
#include <filesystem>

#include "core/json.h"

namespace chiasm::language {

/// The tokenizer.json that transformers' BertTokenizer stands for: one token a line, its number the
/// id. `config`: tokenizer_config.json (do_lower_case, tokenize_chinese_chars, strip_accents and
/// the names of the special tokens) or an empty object. ModelError for a line that comes twice or a
/// special token that is not there.
Json bert_tokenizer_json(const std::filesystem::path& vocab_txt, const Json& config);

}  // namespace chiasm::language
