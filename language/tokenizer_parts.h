#pragma once
/// What a Tokenizer is made of; included by its own sources only.
#include "language/detokenizer_chain.h"
#include "language/pre_tokenizer.h"
#include "language/token_model.h"
#include "language/tokenizer.h"
#include "language/tokenizer_added.h"
#include "language/tokenizer_normalizer.h"

namespace chiasm::language {

struct Tokenizer::Parts {
  TokenModel model;
  Normalizer normalizer;
  AddedTokens added;
  PreTokenizer pre_tokenizer;
  DecoderChain decoder;
  std::vector<std::int32_t> before, after;  // put around a text
  std::optional<std::int32_t> bos, eos, pad;

  explicit Parts(const Json& json);
};

}  // namespace chiasm::language
