#include "language/tokenizer_bpe.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

constexpr std::size_t kMaxCachedWord = 64;  // bytes; longer words rarely come twice
constexpr std::size_t kMaxWord = std::numeric_limits<std::int32_t>::max();

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t(std::uint32_t(left)) << 32 | std::uint32_t(right);
}

std::size_t slot_of(std::uint64_t pair, std::size_t slots) {
  return std::size_t((pair * 0x9E3779B97F4A7C15ull) >> 32) & (slots - 1);  // Fibonacci hashing
}

void refuse(const Json& json, std::string_view key) {
  if (json.has(key) && !(json[key].is_string() && json[key].str().empty())) {
    fail<ModelError>(json.where(), ": ", key, " is not supported");
  }
}

}  // namespace

Bpe::Bpe(const Json& json) {
  if (json.number("dropout", 0) != 0) fail<ModelError>(json.where(), ": dropout is not supported");
  refuse(json, "continuing_subword_prefix");
  suffix_ = json.str("end_of_word_suffix", "");
  fuse_unknown_ = json.boolean("fuse_unk", false);
  byte_fallback_ = json.boolean("byte_fallback", false);
  ignore_merges_ = json.boolean("ignore_merges", false);
  if (byte_fallback_ && !suffix_.empty()) {
    fail<ModelError>(json.where(), ": byte_fallback with end_of_word_suffix is not supported");
  }
  vocabulary_.read(json["vocab"]);
  read_merges(json["merges"]);
  unknown_ = named_token(json, "unk_token", vocabulary_);
  byte_ids_ = fallback_byte_ids(vocabulary_);
}

void Bpe::read_merges(const Json& json) {
  if (!json.is_array()) fail<ModelError>(json.where(), ": expected an array of merges");
  std::size_t slots = 16;
  while (slots < 2 * json.size()) slots *= 2;
  merges_.assign(slots, Merge{0, -1, 0});
  std::int32_t rank = 0;
  for (const auto& item : json.raw()) {
    std::string left, right;
    if (item.is_string()) {  // "left right"; files by older versions of the library
      const auto& line = item.get_ref<const std::string&>();
      if (line.rfind("#version", 0) == 0) continue;
      const std::size_t space = line.find(' ');
      if (space != std::string::npos) left = line.substr(0, space), right = line.substr(space + 1);
      if (right.find(' ') != std::string::npos) right.clear();
    } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      left = item[0].get<std::string>(), right = item[1].get<std::string>();
    }
    const auto a = find(left), b = find(right), both = find(left + right);
    if (!a || !b || !both) {
      fail<ModelError>(json.where(), "[", rank,
                       "]: expected two tokens that are in the vocabulary, ",
                       "as their sum is; found \"", left, "\" and \"", right, "\"");
    }
    insert_merge({pair_key(*a, *b), rank++, *both});
  }
}

void Bpe::insert_merge(const Merge& merge) {
  std::size_t slot = slot_of(merge.pair, merges_.size());
  while (merges_[slot].rank >= 0 && merges_[slot].pair != merge.pair) {
    slot = (slot + 1) & (merges_.size() - 1);
  }
  merges_[slot] = merge;  // of two merges of one pair the later counts
}

const Bpe::Merge* Bpe::merge_of(std::int32_t left, std::int32_t right, bool trusted) const {
  const std::uint64_t pair = pair_key(left, right);
  std::size_t slot = slot_of(pair, merges_.size());
  while (merges_[slot].rank >= 0) {
    const Merge& merge = merges_[slot];
    if (merge.pair == pair) return vocabulary_.is_allowed(merge.result, trusted) ? &merge : nullptr;
    slot = (slot + 1) & (merges_.size() - 1);
  }
  return nullptr;
}

void Bpe::Scratch::trust(bool value) {
  if (value != trusted) known.clear();
  trusted = value;
}

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& ids) const {
  if (word.size() > kMaxWord) fail<RequestError>("text: a word of ", word.size(), " bytes");
  if (ignore_merges_) {
    if (const auto id = find(word); id && vocabulary_.is_allowed(*id, scratch.trusted)) {
      ids.push_back(*id);
      return;
    }
  }
  const std::size_t begin = ids.size();
  if (word.size() <= kMaxCachedWord) {
    const auto it = scratch.known.find(std::string(word));
    if (it != scratch.known.end()) {
      ids.insert(ids.end(), it->second.begin(), it->second.end());
      return;
    }
  }
  split_characters(word, scratch);
  merge_all(scratch);
  for (const auto& symbol : scratch.symbols) {
    if (symbol.alive) ids.push_back(symbol.id);
  }
  if (word.size() <= kMaxCachedWord) {
    scratch.known.emplace(
        word, std::vector<std::int32_t>(ids.begin() + std::ptrdiff_t(begin), ids.end()));
  }
}

namespace {

void append_symbol(std::int32_t id, Bpe::Scratch& scratch) {
  const auto position = std::int32_t(scratch.symbols.size());
  if (position > 0) scratch.symbols.back().next = position;
  scratch.symbols.push_back({id, position - 1, -1, true});
}

}  // namespace

void Bpe::split_characters(std::string_view word, Scratch& scratch) const {
  scratch.symbols.clear();
  bool pending = false;  // an unknown token that waits to be fused with the next
  for (std::size_t at = 0; at < word.size();) {
    const auto character = word.substr(at, utf8_length(word[at]));
    at += character.size();
    const bool ends = at == word.size() && !suffix_.empty();
    const auto id = ends ? find(std::string(character) + suffix_) : find(character);
    if (id) {
      if (pending) append_symbol(*unknown_, scratch);
      pending = false;
      append_symbol(*id, scratch);
    } else if (!append_fallback(character, scratch) && unknown_) {
      if (pending && !fuse_unknown_) append_symbol(*unknown_, scratch);
      pending = true;
    }
  }
  if (pending) append_symbol(*unknown_, scratch);
}

bool Bpe::append_fallback(std::string_view character, Scratch& scratch) const {
  if (!byte_fallback_) return false;
  const auto id_of = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  const auto missing = [&](char c) { return id_of(c) < 0; };
  if (std::any_of(character.begin(), character.end(), missing)) return false;
  for (const char c : character) append_symbol(id_of(c), scratch);
  return true;
}

void Bpe::propose(std::int32_t position, Scratch& scratch) const {
  const auto& symbol = scratch.symbols[std::size_t(position)];
  if (symbol.next < 0) return;
  const auto right = scratch.symbols[std::size_t(symbol.next)].id;
  const Merge* merge = merge_of(symbol.id, right, scratch.trusted);
  if (merge == nullptr) return;
  scratch.heap.push_back({merge->rank, position, merge->result});
  std::push_heap(scratch.heap.begin(), scratch.heap.end());
}

void Bpe::merge_all(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  scratch.heap.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) propose(std::int32_t(i), scratch);
  while (!scratch.heap.empty()) {
    std::pop_heap(scratch.heap.begin(), scratch.heap.end());
    const auto best = scratch.heap.back();
    scratch.heap.pop_back();
    auto& left = symbols[std::size_t(best.position)];
    if (!left.alive || left.next < 0) continue;
    auto& right = symbols[std::size_t(left.next)];
    const Merge* merge = merge_of(left.id, right.id, scratch.trusted);
    if (merge == nullptr || merge->result != best.result) continue;  // one of the two has grown
    left.id = best.result;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) symbols[std::size_t(left.next)].previous = best.position;
    if (left.previous >= 0) propose(left.previous, scratch);
    propose(best.position, scratch);
  }
}

}  // namespace chiasm::language
