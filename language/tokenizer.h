#pragma once
/// Text to token ids and back, equal to Hugging Face's `tokenizers` library (0.23) for BPE, Unigram
/// and WordPiece models.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace chiasm::language {

/// A part of a prompt. `parse_special`: whether the text is trusted, so that special-token text
/// in it becomes those tokens. A user's words are not: there it stays text.
struct TextSpan {
  std::string_view text;
  bool parse_special = true;
};

/// A tokenizer as `tokenizer.json` describes it. Immutable: one object serves any number of
/// threads, and copies share their tables.
class Tokenizer {
 public:
  /// Reads `folder`/tokenizer.json (or tekken.json, vocab.txt, a SentencePiece model) and,
  /// where present, the names of the begin and end tokens in tokenizer_config.json; add_bos_token
  /// there means nothing beside a tokenizer.json, as in transformers 5. ModelError names what is
  /// missing, inconsistent or not supported.
  static Tokenizer load(const std::filesystem::path& folder);
  /// The same from a parsed tokenizer.json and, unless null, tokenizer_config.json.
  static Tokenizer from_json(const Json& tokenizer_json);
  static Tokenizer from_json(const Json& tokenizer_json, const Json& tokenizer_config);

  /// Ids of `text`. `add_special_tokens`: with what the post-processor puts around a text.
  /// `parse_special` false: the text is a user's words (see TextSpan). RequestError when the text
  /// is not valid UTF-8, naming the byte offset.
  std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens = true,
                                   bool parse_special = true) const;

  /// Ids of the spans as one text: words and merges reach over the border of two spans, so that
  /// the result is that of the joined text wherever no span that is not trusted holds special-token
  /// text. Such text stays text, also where it only arises over a border.
  std::vector<std::int32_t> encode_spans(std::span<const TextSpan> spans,
                                         bool add_special_tokens = true) const;

  /// The text of `ids`; bytes that are no UTF-8 become U+FFFD. Ids without a token are left out,
  /// as are special tokens with `skip_special_tokens`.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const;

  /// The text of a token as the vocabulary holds it; empty when there is no such id.
  std::string_view token_text(std::int32_t id) const;
  /// The bytes that a token stands for in the midst of a text.
  std::string token_bytes(std::int32_t id) const;
  /// The id of a token by its text in the vocabulary or among the added tokens.
  std::optional<std::int32_t> find(std::string_view token) const;
  bool is_special(std::int32_t id) const;
  /// Whether words of a user never become this token: special tokens and markup-like added ones.
  bool is_structure(std::int32_t id) const;
  /// Largest id plus one. A model may have more rows than this.
  std::int64_t vocab_size() const;
  /// The tokens that tokenizer_config.json names.
  std::optional<std::int32_t> bos_token() const;
  std::optional<std::int32_t> eos_token() const;
  std::optional<std::int32_t> pad_token() const;

 private:
  struct Parts;
  friend class Detokenizer;
  explicit Tokenizer(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

  std::shared_ptr<const Parts> parts_;
};

}  // namespace chiasm::language
