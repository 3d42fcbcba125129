#pragma once
/// Tokens that are found in a text as a whole, before any other step: special tokens and others.
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/json.h"
#include "language/tokenizer_normalizer.h"
#include "language/vocabulary.h"

namespace chiasm::language {

struct AddedToken {
  std::string text;
  std::int32_t id = 0;
  bool special = false, single_word = false, lstrip = false, rstrip = false, normalized = true;

  /// Whether a user's words must never become this token: it is special, or it looks like markup
  /// ("<tool_call>", "[INST]"), which many files do not call special.
  bool is_structure() const;
};

/// The stretches of a text that hold a user's words, in order, as byte offsets.
class RawStretches {
 public:
  void add(std::size_t begin, std::size_t end) {
    if (begin != end) stretches_.emplace_back(begin, end);
  }
  bool overlap(std::size_t begin, std::size_t end) const;
  /// The same stretches as seen from within text [begin, end).
  RawStretches within(std::size_t begin, std::size_t end) const;

 private:
  std::vector<std::pair<std::size_t, std::size_t>> stretches_;
};

/// A stretch of text: the added token `id`, or plain text when id < 0.
struct Section {
  std::size_t begin, end;
  std::int32_t id;
};

/// All added tokens of a tokenizer. Immutable.
class AddedTokens {
 public:
  /// Reads the "added_tokens" array; `vocabulary` is the model's.
  AddedTokens(const Json& json, const Vocabulary& vocabulary, const Normalizer& normalizer);

  /// Cuts `text` at the tokens that match before normalization, or (`normalized`) after it.
  /// Structure never matches over `raw` stretches.
  std::vector<Section> split(std::string_view text, bool normalized, const RawStretches& raw) const;

  const AddedToken* find(std::string_view text) const;
  const AddedToken* at(std::int32_t id) const;
  std::span<const AddedToken> all() const { return tokens_; }
  std::int32_t largest_id() const { return largest_id_; }

 private:
  /// A tree of bytes over the texts to be found.
  struct Trie {
    std::unordered_map<std::uint64_t, std::uint32_t> children;  // node << 8 | byte
    std::vector<std::int32_t> token = {-1};                     // by node: index into tokens_
    std::array<bool, 256> starts{};

    void insert(std::string_view text, std::int32_t index);
  };
  struct Match {
    std::size_t end;
    const AddedToken* token;
  };

  AddedToken read(const Json& json, const Vocabulary& vocabulary) const;
  std::optional<Match> longest(std::string_view text, std::size_t begin, const Trie& trie,
                               const RawStretches& raw) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> by_text_;
  std::unordered_map<std::int32_t, std::size_t> by_id_;
  Trie plain_, normal_;
  std::int32_t largest_id_ = -1;
};

}  // namespace chiasm::language
