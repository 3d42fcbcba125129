#include "language/tokenizer_unigram.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "core/error.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

constexpr double kUnknownPenalty = 10;  // below the least likely token

/// A score as the library's JSON reader makes it of its shortest digits: all of them as one
/// integer, then one multiplication or division by a power of ten. It may be off by one unit in the
/// last place, which decides between ways of equal sums.
double as_read(double score) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, score).ptr;
  std::uint64_t significand = 0;
  int exponent = 0;
  bool fraction = false;
  const char* at = digits;
  for (; at != end && *at != 'e'; ++at) {
    if (*at == '.') fraction = true;
    if (*at < '0' || *at > '9') continue;
    significand = significand * 10 + std::uint64_t(*at - '0');  // 17 digits at most
    if (fraction) --exponent;
  }
  int written = 0;
  if (at != end) std::from_chars(at + (at[1] == '+' ? 2 : 1), end, written);
  exponent += written;
  double power = 1;
  const std::string text = "1e" + std::to_string(std::abs(exponent));
  std::from_chars(text.data(), text.data() + text.size(), power);
  const double size = exponent < 0 ? double(significand) / power : double(significand) * power;
  return std::copysign(size, score);
}

unsigned char byte_of(char c) { return static_cast<unsigned char>(c); }

}  // namespace

Unigram::Unigram(const Json& json) : byte_fallback_(json.boolean("byte_fallback", false)) {
  const Json vocab = json["vocab"];
  if (!vocab.is_array()) fail<ModelError>(vocab.where(), ": expected an array of token and score");
  std::vector<std::string> texts;
  double least = std::numeric_limits<double>::infinity();
  for (const auto& item : vocab.raw()) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
      fail<ModelError>(vocab.where(), "[", texts.size(), "]: expected a token and its score");
    }
    texts.push_back(item[0].get<std::string>());
    scores_.push_back(item[1].is_number_float() ? as_read(item[1].get<double>())
                                                : item[1].get<double>());
    least = std::min(least, scores_.back());
  }
  if (texts.empty() || texts.size() > std::size_t(1) << 24) {
    fail<ModelError>(vocab.where(), ": ", texts.size(), " tokens");
  }
  vocabulary_.take(std::move(texts));
  unknown_score_ = least - kUnknownPenalty;
  if (json.has("unk_id")) {
    const std::int64_t id = json["unk_id"].integer();
    if (id < 0 || id >= vocabulary_.size()) {
      fail<ModelError>(json.where(), ": unk_id ", id, " of ", vocabulary_.size(), " tokens");
    }
    unknown_ = std::int32_t(id);
  }
  byte_ids_ = fallback_byte_ids(vocabulary_);

  for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (vocabulary_.find(vocabulary_.text(id)) == id) sorted_.push_back(id);  // of twins the last
  }
  std::ranges::sort(sorted_, {}, [&](std::int32_t id) { return vocabulary_.text(id); });
  for (const std::int32_t id : sorted_) ++first_[byte_of(vocabulary_.text(id)[0]) + 1u];
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
}

void Unigram::find_best(std::string_view word, bool trusted, Scratch& scratch) const {
  auto& best = scratch.best;
  best.assign(word.size() + 1, {});
  const auto reach = [&](std::size_t begin, std::size_t end, std::int32_t id, double score) {
    auto& there = best[end];
    if (there.id < 0 || score > there.score) there = {score, begin, id};
  };
  for (std::size_t begin = 0; begin < word.size();) {
    const double here = best[begin].score;
    const std::size_t character = utf8_length(word[begin]);
    bool spelled = false;  // one token is this character
    // The tokens that agree with the word up to some byte lie together, the shortest first.
    auto low = sorted_.begin() + std::ptrdiff_t(first_[byte_of(word[begin])]);
    auto high = sorted_.begin() + std::ptrdiff_t(first_[byte_of(word[begin]) + 1u]);
    for (std::size_t length = 1; low != high; ++length) {
      if (vocabulary_.text(*low).size() == length) {
        if (vocabulary_.is_allowed(*low, trusted)) {
          reach(begin, begin + length, *low, here + scores_[std::size_t(*low)]);
          spelled = spelled || length == character;
        }
        ++low;
      }
      if (begin + length == word.size()) break;
      const unsigned char next = byte_of(word[begin + length]);
      const auto at = [&](std::int32_t id) { return byte_of(vocabulary_.text(id)[length]); };
      low = std::lower_bound(low, high, next, [&](auto id, auto byte) { return at(id) < byte; });
      high = std::upper_bound(low, high, next, [&](auto byte, auto id) { return byte < at(id); });
    }
    if (!spelled) {
      if (!unknown_) {
        fail<RequestError>("text: the vocabulary has no unknown token for \"",
                           word.substr(begin, character), "\"");
      }
      reach(begin, begin + character, *unknown_, here + unknown_score_);
    }
    begin += character;
  }
}

void Unigram::append(std::string_view piece, std::int32_t id, bool trusted,
                     std::vector<std::int32_t>& ids) const {
  if (id != unknown_) {
    ids.push_back(id);
    return;
  }
  const auto found = vocabulary_.find(piece);
  if (found && vocabulary_.is_allowed(*found, trusted)) {
    ids.push_back(*found);
    return;
  }
  const auto missing = [&](char c) { return byte_ids_[byte_of(c)] < 0; };
  if (!byte_fallback_ || std::ranges::any_of(piece, missing)) {
    ids.push_back(id);
    return;
  }
  for (const char c : piece) ids.push_back(byte_ids_[byte_of(c)]);
}

void Unigram::encode(std::string_view word, bool trusted, Scratch& scratch,
                     std::vector<std::int32_t>& ids) const {
  find_best(word, trusted, scratch);
  std::vector<std::size_t> ends;  // of the tokens, the last first
  for (std::size_t end = word.size(); end > 0; end = scratch.best[end].begin) ends.push_back(end);
  std::size_t begin = 0;
  for (std::size_t i = ends.size(); i-- > 0;) {
    const std::int32_t id = scratch.best[ends[i]].id;
    const bool goes_on = i > 0 && id == unknown_ && scratch.best[ends[i - 1]].id == unknown_;
    if (goes_on) continue;  // unknown ones in a row are one
    append(word.substr(begin, ends[i] - begin), id, trusted, ids);
    begin = ends[i];
  }
}

}  // namespace chiasm::language
