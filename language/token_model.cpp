#include "language/token_model.h"

#include "core/error.h"

namespace chiasm::language {

TokenModel::Any TokenModel::read(const Json& json) {
  // Files by old versions of the library name no type.
  const std::string type = json.str("type", "BPE");
  if (type == "BPE") return Any(std::in_place_type<Bpe>, json);
  if (type == "Unigram") return Any(std::in_place_type<Unigram>, json);
  if (type == "WordPiece") return Any(std::in_place_type<WordPiece>, json);
  fail<ModelError>(json.where(), ": model \"", type,
                   "\" is not supported; BPE, Unigram and WordPiece are");
}

TokenModel::TokenModel(const Json& json) : model_(read(json)) {}

void TokenModel::Scratch::trust(bool value) {
  trusted_ = value;
  bpe_.trust(value);
}

void TokenModel::encode(std::string_view word, Scratch& scratch,
                        std::vector<std::int32_t>& ids) const {
  if (const auto* bpe = std::get_if<Bpe>(&model_)) {
    bpe->encode(word, scratch.bpe_, ids);
  } else if (const auto* unigram = std::get_if<Unigram>(&model_)) {
    unigram->encode(word, scratch.trusted_, scratch.unigram_, ids);
  } else {
    std::get<WordPiece>(model_).encode(word, scratch.trusted_, ids);
  }
}

const Vocabulary& TokenModel::vocabulary() const {
  return std::visit([](const auto& m) -> const Vocabulary& { return m.vocabulary(); }, model_);
}

Vocabulary& TokenModel::vocabulary() {
  return std::visit([](auto& m) -> Vocabulary& { return m.vocabulary(); }, model_);
}

}  // namespace chiasm::language
