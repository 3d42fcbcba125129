#include "language/tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "language/tokenizer_parts.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

/// Encodes stretches of one text one after the other.
class Encoding {
 public:
  Encoding(const Normalizer& normalizer, const AddedTokens& added, const PreTokenizer& cutter,
           const TokenModel& model)
      : normalizer_(normalizer), added_(added), pre_tokenizer_(cutter), model_(model) {}

  void run(std::string_view text, const RawStretches& raw) {
    for (const auto& section : added_.split(text, false, raw)) {
      if (section.id >= 0) {
        ids_.push_back(section.id);
      } else {
        plain(text.substr(section.begin, section.end - section.begin),
              raw.within(section.begin, section.end), section.begin == 0);
      }
    }
  }
  std::vector<std::int32_t> take() { return std::move(ids_); }

 private:
  /// Text between the tokens that match before normalization.
  void plain(std::string_view text, RawStretches raw, bool at_start) {
    const std::string normal = normalizer_.run(text);
    if (normal != text && raw.overlap(0, text.size())) {
      raw = {};  // offsets moved: nothing in here is trusted
      raw.add(0, normal.size());
    }
    scratch_.trust(!raw.overlap(0, normal.size()));
    for (const auto& section : added_.split(normal, true, raw)) {
      if (section.id >= 0) {
        ids_.push_back(section.id);
        continue;
      }
      const auto part = std::string_view(normal).substr(section.begin, section.end - section.begin);
      const Words words = pre_tokenizer_.run(part, at_start && section.begin == 0);
      for (std::size_t i = 0; i < words.size(); ++i) model_.encode(words[i], scratch_, ids_);
    }
  }

  const Normalizer& normalizer_;
  const AddedTokens& added_;
  const PreTokenizer& pre_tokenizer_;
  const TokenModel& model_;
  TokenModel::Scratch scratch_;
  std::vector<std::int32_t> ids_;
};

}  // namespace

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens,
                                            bool parse_special) const {
  const TextSpan span{text, parse_special};
  return encode_spans({&span, 1}, add_special_tokens);
}

std::vector<std::int32_t> Tokenizer::encode_spans(std::span<const TextSpan> spans,
                                                  bool add_special_tokens) const {
  std::string text;
  RawStretches raw;
  for (const auto& span : spans) {
    expect_utf8(span.text);
    if (!span.parse_special) raw.add(text.size(), text.size() + span.text.size());
    text += span.text;
  }
  Encoding encoding(parts_->normalizer, parts_->added, parts_->pre_tokenizer, parts_->model);
  encoding.run(text, raw);
  auto ids = encoding.take();
  if (add_special_tokens) {
    ids.insert(ids.begin(), parts_->before.begin(), parts_->before.end());
    ids.insert(ids.end(), parts_->after.begin(), parts_->after.end());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const auto id : ids) {
    const auto text = token_text(id);
    if (!text.empty() && !(skip_special_tokens && is_special(id))) tokens.emplace_back(text);
  }
  return parts_->decoder.run(std::move(tokens));
}

std::string_view Tokenizer::token_text(std::int32_t id) const {
  const AddedToken* added = parts_->added.at(id);
  return added != nullptr ? std::string_view(added->text) : parts_->model.vocabulary().text(id);
}

std::string Tokenizer::token_bytes(std::int32_t id) const {
  return parts_->decoder.bytes_of(token_text(id));
}

std::optional<std::int32_t> Tokenizer::find(std::string_view token) const {
  const AddedToken* added = parts_->added.find(token);
  return added != nullptr ? std::optional(added->id) : parts_->model.vocabulary().find(token);
}

bool Tokenizer::is_special(std::int32_t id) const {
  const AddedToken* added = parts_->added.at(id);
  return added != nullptr && added->special;
}

bool Tokenizer::is_structure(std::int32_t id) const {
  const AddedToken* added = parts_->added.at(id);
  return added != nullptr && added->is_structure();
}

std::int64_t Tokenizer::vocab_size() const {
  return std::max<std::int64_t>(parts_->model.vocabulary().size(),
                                std::int64_t(parts_->added.largest_id()) + 1);
}

std::optional<std::int32_t> Tokenizer::bos_token() const { return parts_->bos; }
std::optional<std::int32_t> Tokenizer::eos_token() const { return parts_->eos; }
std::optional<std::int32_t> Tokenizer::pad_token() const { return parts_->pad; }

}  // namespace chiasm::language
