#include "language/tokenizer_added.h"

#include <algorithm>

#include "core/error.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

constexpr std::size_t kMaxTokenBytes = 4096;  // bounds the work at each byte of a text
constexpr std::int64_t kMaxId = 1 << 24;

/// Byte offset where the character that ends at `end` begins.
std::size_t previous_character(std::string_view text, std::size_t end) {
  do {
    --end;
  } while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  std::size_t at = previous_character(text, text.size());
  return rust_word().contains(next_code_point(text, at));
}

bool starts_with_word(std::string_view text) {
  std::size_t at = 0;
  return !text.empty() && rust_word().contains(next_code_point(text, at));
}

/// `end` without the white space before it, no further back than `least`.
std::size_t skip_space_left(std::string_view text, std::size_t end, std::size_t least) {
  while (end > least) {
    const std::size_t start = previous_character(text, end);
    std::size_t at = start;
    if (!white_space().contains(next_code_point(text, at))) break;
    end = start;
  }
  return end;
}

std::size_t skip_space_right(std::string_view text, std::size_t begin) {
  while (begin < text.size()) {
    std::size_t at = begin;
    if (!white_space().contains(next_code_point(text, at))) break;
    begin = at;
  }
  return begin;
}

}  // namespace

bool AddedToken::is_structure() const {
  const auto wrapped = [&](char open, char close) {
    return text.size() > 2 && text.front() == open && text.back() == close;
  };
  return special || wrapped('<', '>') || wrapped('[', ']');
}

bool RawStretches::overlap(std::size_t begin, std::size_t end) const {
  const auto first = std::upper_bound(stretches_.begin(), stretches_.end(), begin,
                                      [](std::size_t x, const auto& s) { return x < s.second; });
  return first != stretches_.end() && first->first < end;
}

RawStretches RawStretches::within(std::size_t begin, std::size_t end) const {
  RawStretches out;
  for (const auto& [first, last] : stretches_) {
    if (last > begin && first < end)
      out.add(std::max(first, begin) - begin, std::min(last, end) - begin);
  }
  return out;
}

void AddedTokens::Trie::insert(std::string_view text, std::int32_t index) {
  std::uint32_t node = 0;
  starts[static_cast<unsigned char>(text.front())] = true;
  for (const char c : text) {
    const std::uint64_t key = std::uint64_t(node) << 8 | static_cast<unsigned char>(c);
    const auto [it, is_new] = children.emplace(key, std::uint32_t(token.size()));
    if (is_new) token.push_back(-1);
    node = it->second;
  }
  if (token[node] < 0)
    token[node] = index;  // two tokens may have one normal form: the first counts
}

AddedTokens::AddedTokens(const Json& json, const Vocabulary& vocabulary,
                         const Normalizer& normalizer) {
  for (std::size_t i = 0; i < json.size(); ++i) {
    AddedToken token = read(json[i], vocabulary);
    if (token.text.empty()) continue;
    const auto index = std::int32_t(tokens_.size());
    const bool new_text = by_text_.emplace(token.text, index).second;
    if (!new_text || !by_id_.emplace(token.id, index).second) {
      fail<ModelError>(json[i].where(), ": token \"", token.text, "\" or id ", token.id,
                       " comes twice");
    }
    largest_id_ = std::max(largest_id_, token.id);
    const std::string form = token.normalized ? normalizer.run(token.text) : token.text;
    if (!form.empty()) (token.normalized ? normal_ : plain_).insert(form, index);
    tokens_.push_back(std::move(token));
  }
}

AddedToken AddedTokens::read(const Json& json, const Vocabulary& vocabulary) const {
  AddedToken token;
  token.text = json["content"].str();
  token.special = json.boolean("special", false);
  token.single_word = json.boolean("single_word", false);
  token.lstrip = json.boolean("lstrip", false);
  token.rstrip = json.boolean("rstrip", false);
  token.normalized = json.boolean("normalized", !token.special);
  const std::int64_t id = json["id"].integer();
  if (id < 0 || id > kMaxId) {
    fail<ModelError>(json["id"].where(), ": ", id, ", expected 0 to ", kMaxId);
  }
  if (token.text.size() > kMaxTokenBytes) {
    fail<ModelError>(json.where(), ": a token of ", token.text.size(), " bytes, over ",
                     kMaxTokenBytes);
  }
  token.id = std::int32_t(id);
  const auto known = vocabulary.find(token.text);
  if (known && *known != token.id) {
    fail<ModelError>(json.where(), ": \"", token.text, "\" has id ", token.id, ", but ", *known,
                     " in the vocabulary");
  }
  if (!known && !vocabulary.text(token.id).empty() && !token.text.empty()) {
    fail<ModelError>(json.where(), ": \"", token.text, "\" has the id ", token.id, " of \"",
                     vocabulary.text(token.id), "\" in the vocabulary");
  }
  return token;
}

const AddedToken* AddedTokens::find(std::string_view text) const {
  const auto it = by_text_.find(std::string(text));
  return it == by_text_.end() ? nullptr : &tokens_[it->second];
}

const AddedToken* AddedTokens::at(std::int32_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &tokens_[it->second];
}

std::optional<AddedTokens::Match> AddedTokens::longest(std::string_view text, std::size_t begin,
                                                       const Trie& trie,
                                                       const RawStretches& raw) const {
  std::optional<Match> best;
  std::uint32_t node = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const auto it =
        trie.children.find(std::uint64_t(node) << 8 | static_cast<unsigned char>(text[i]));
    if (it == trie.children.end()) break;
    node = it->second;
    if (trie.token[node] < 0) continue;
    const AddedToken& token = tokens_[std::size_t(trie.token[node])];
    if (!token.is_structure() || !raw.overlap(begin, i + 1)) best = Match{i + 1, &token};
  }
  return best;
}

std::vector<Section> AddedTokens::split(std::string_view text, bool normalized,
                                        const RawStretches& raw) const {
  const Trie& trie = normalized ? normal_ : plain_;
  std::vector<Section> out;
  std::size_t covered = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::optional<Match> match;
    if (trie.starts[static_cast<unsigned char>(text[at])]) match = longest(text, at, trie, raw);
    if (!match) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = match->end;
    at = end;  // the search goes on behind the token, whatever white space it takes
    const AddedToken& token = *match->token;
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token.lstrip) begin = std::max(covered, skip_space_left(text, begin, 0));
    if (token.rstrip) end = skip_space_right(text, end);
    if (covered < begin) out.push_back({covered, begin, -1});
    out.push_back({begin, end, token.id});
    covered = end;
  }
  if (covered < text.size()) out.push_back({covered, text.size(), -1});
  return out;
}

}  // namespace chiasm::language
