#pragma once
/// SentencePiece's own normalization: a table of what becomes of stretches of text.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace chiasm::language {

/// "Precompiled" of tokenizer.json, applied as the `tokenizers` library does it: to each grapheme
/// cluster below 6 bytes whole, by the shortest entry that it begins with, else to each character.
/// The table is a double array (Aoe, 1989) of units of 32 bits. Immutable.
class PrecompiledCharsmap {
 public:
  /// Reads "precompiled_charsmap", base64. ModelError for a table that is damaged.
  explicit PrecompiledCharsmap(const Json& json);

  /// The normal form of valid UTF-8.
  std::string run(std::string_view text) const;

 private:
  /// What stands for `piece` in the table, by the shortest entry that it begins with.
  std::optional<std::string_view> find(std::string_view piece) const;

  std::vector<std::uint32_t> units_;
  std::string texts_;  // each ended by a zero byte
};

}  // namespace chiasm::language
