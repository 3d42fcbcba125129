#pragma once
/// The tokens of a model: text to id and back.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"

namespace chiasm::language {

/// Immutable but for marks; not copyable, since the look-up refers to the token texts.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  /// Reads an object of token and id. Ids may leave gaps. ModelError for ids that no vocabulary
  /// has and for two tokens of one id.
  void read(const Json& json);
  /// Takes over the tokens of a list, whose places are their ids. Of two tokens of one text the
  /// later is found.
  void take(std::vector<std::string> texts);

  std::optional<std::int32_t> find(std::string_view token) const;
  /// The text of `id`; empty when there is none.
  std::string_view text(std::int32_t id) const;
  /// Largest id plus one.
  std::int32_t size() const { return std::int32_t(texts_.size()); }

  /// Keeps untrusted words from becoming `id`. For use right after construction.
  void mark_structure(std::int32_t id);
  bool is_allowed(std::int32_t id, bool trusted) const {
    return trusted || !structure_[std::size_t(id)];
  }

 private:
  void index();

  std::vector<std::string> texts_;  // by id
  std::unordered_map<std::string_view, std::int32_t> ids_;
  std::vector<bool> structure_;  // by id
};

/// The id of the token that `key` of a "model" object names; nothing where it names none.
/// ModelError when the vocabulary does not have it.
std::optional<std::int32_t> named_token(const Json& model, std::string_view key,
                                        const Vocabulary& vocabulary);

/// The ids of the tokens "<0x00>" to "<0xFF>"; -1 for those that are not there.
std::array<std::int32_t, 256> fallback_byte_ids(const Vocabulary& vocabulary);

}  // namespace chiasm::language
