#include "language/tokenizer_wordpiece.h"

#include <algorithm>

#include "core/error.h"

namespace chiasm::language {

namespace {

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

}  // namespace

WordPiece::WordPiece(const Json& json)
    : prefix_(json.str("continuing_subword_prefix", "##")),
      longest_word_(json.integer("max_input_chars_per_word", 100)) {
  vocabulary_.read(json["vocab"]);
  const auto unknown = named_token(json, "unk_token", vocabulary_);
  if (!unknown) fail<ModelError>(json.where(), ": unk_token is missing");
  unknown_ = *unknown;
  for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
    longest_token_ = std::max(longest_token_, vocabulary_.text(id).size());
  }
}

std::size_t WordPiece::longest(std::string_view word, std::size_t begin, bool trusted,
                               std::int32_t& id) const {
  std::string candidate = begin > 0 ? prefix_ : std::string();
  const std::size_t before = candidate.size();
  // Longer stretches than the longest token need no look-up.
  candidate += word.substr(begin, longest_token_ > before ? longest_token_ - before : 0);
  for (; candidate.size() > before; candidate.pop_back()) {
    const std::size_t end = begin + candidate.size() - before;
    if (end < word.size() && !starts_character(word[end])) continue;
    const auto found = vocabulary_.find(candidate);
    if (!found || !vocabulary_.is_allowed(*found, trusted)) continue;
    id = *found;
    return end;
  }
  return begin;
}

void WordPiece::encode(std::string_view word, bool trusted, std::vector<std::int32_t>& ids) const {
  const std::size_t before = ids.size();
  if (std::count_if(word.begin(), word.end(), starts_character) > longest_word_) {
    ids.push_back(unknown_);
    return;
  }
  for (std::size_t begin = 0; begin < word.size();) {
    std::int32_t id = 0;
    const std::size_t end = longest(word, begin, trusted, id);
    if (end == begin) {
      ids.resize(before);
      ids.push_back(unknown_);
      return;
    }
    ids.push_back(id);
    begin = end;
  }
}

}  // namespace chiasm::language
