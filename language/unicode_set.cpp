/// Character classes: sets of code points from the probed tables, and maps over all code points.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "core/error.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

#include "language/unicode_tables.inc"

// In the order of CATEGORIES in tests/reference/make_unicode_tables.py.
constexpr std::string_view kCategoryNames[] = {
    "lu", "ll", "lt", "lm", "lo", "mn", "mc", "me", "nd", "nl", "no", "pc", "pd", "ps", "pe",
    "pi", "pf", "po", "sm", "sc", "sk", "so", "zs", "zl", "zp", "cc", "cf", "co", "cn"};
// Groups are named by the first letter of their members.
constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {{"letter", "l"},
                                                                        {"mark", "m"},
                                                                        {"number", "n"},
                                                                        {"punctuation", "p"},
                                                                        {"punct", "p"},
                                                                        {"symbol", "s"},
                                                                        {"separator", "z"},
                                                                        {"other", "c"},
                                                                        {"uppercaseletter", "lu"},
                                                                        {"lowercaseletter", "ll"},
                                                                        {"titlecaseletter", "lt"},
                                                                        {"decimalnumber", "nd"}};

/// The union of the categories whose name starts with `prefix`.
CodePointSet category(std::string_view prefix) {
  std::vector<CodePointRange> ranges;
  const std::size_t count = std::size(kCategoryRuns);
  for (std::size_t i = 0; i < count; ++i) {
    const auto name = kCategoryNames[kCategoryRuns[i] & 31];
    if (name.substr(0, prefix.size()) != prefix) continue;
    const char32_t first = kCategoryRuns[i] >> 5;
    const char32_t last = i + 1 < count ? (kCategoryRuns[i + 1] >> 5) - 1 : kLastCodePoint;
    ranges.push_back({first, last});
  }
  return CodePointSet(std::move(ranges));
}

template <std::size_t N>
CodePointSet set_of(const CodePointRange (&ranges)[N]) {
  return CodePointSet(std::vector<CodePointRange>(ranges, ranges + N));
}

CodePointSet letters_marks_numbers() {
  return category("l") | category("m") | category("nd") | category("nl") | category("pc");
}

/// Walks two sets at once and keeps the stretches for which keep(in_a, in_b).
template <class Keep>
std::vector<CodePointRange> combine(std::span<const CodePointRange> a,
                                    std::span<const CodePointRange> b, Keep keep) {
  std::vector<CodePointRange> out;
  std::size_t i = 0, j = 0;
  char32_t at = 0;
  while (at <= kLastCodePoint) {
    while (i < a.size() && a[i].last < at) ++i;
    while (j < b.size() && b[j].last < at) ++j;
    const bool in_a = i < a.size() && a[i].first <= at, in_b = j < b.size() && b[j].first <= at;
    char32_t end = kLastCodePoint;  // the last code point for which in_a and in_b hold
    if (i < a.size()) end = std::min(end, in_a ? a[i].last : char32_t(a[i].first - 1));
    if (j < b.size()) end = std::min(end, in_b ? b[j].last : char32_t(b[j].first - 1));
    if (keep(in_a, in_b)) {
      if (!out.empty() && out.back().last + 1 == at) {
        out.back().last = end;
      } else {
        out.push_back({at, end});
      }
    }
    at = end + 1;
  }
  return out;
}

}  // namespace

CodePointSet::CodePointSet(std::vector<CodePointRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& r : ranges) {
    if (!ranges_.empty() && r.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, r.last);
    } else {
      ranges_.push_back(r);
    }
  }
}

bool CodePointSet::contains(char32_t c) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                      [](char32_t x, const auto& r) { return x < r.first; });
  return after != ranges_.begin() && std::prev(after)->last >= c;
}

CodePointSet CodePointSet::complement() const {
  return CodePointSet(combine(ranges_, {}, [](bool a, bool) { return !a; }));
}
CodePointSet CodePointSet::operator|(const CodePointSet& other) const {
  return CodePointSet(combine(ranges_, other.ranges_, [](bool a, bool b) { return a || b; }));
}
CodePointSet CodePointSet::operator&(const CodePointSet& other) const {
  return CodePointSet(combine(ranges_, other.ranges_, [](bool a, bool b) { return a && b; }));
}
CodePointSet CodePointSet::operator^(const CodePointSet& other) const {
  return CodePointSet(combine(ranges_, other.ranges_, [](bool a, bool b) { return a != b; }));
}

CodePointSet unicode_property(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != ' ' && c != '_' && c != '-') plain += c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  }
  for (const auto& [long_name, prefix] : kLongNames) {
    if (plain == long_name) plain = prefix;
  }
  if (plain == "han") return set_of(kHan);
  if (plain == "hiragana") return set_of(kHiragana);
  if (plain == "katakana") return set_of(kKatakana);
  if (plain == "hangul") return set_of(kHangul);
  CodePointSet found = plain.empty() || plain.size() > 2 ? CodePointSet() : category(plain);
  if (found.ranges().empty()) {
    fail<ModelError>("\\p{", name, "} is not supported; general categories and the scripts Han, ",
                     "Hiragana, Katakana and Hangul are");
  }
  return found;
}

const CodePointSet& white_space() {
  static const CodePointSet set = set_of(kWhiteSpace);
  return set;
}
const CodePointSet& regex_word() {
  static const CodePointSet set = letters_marks_numbers() ^ set_of(kWordChanges);
  return set;
}
const CodePointSet& regex_class_word() {
  static const CodePointSet set = letters_marks_numbers() ^ set_of(kClassWordChanges);
  return set;
}
const CodePointSet& rust_word() {
  static const CodePointSet set = letters_marks_numbers() ^ set_of(kCrateWordChanges);
  return set;
}
const CodePointSet& rust_numeric() {
  static const CodePointSet set = category("n") ^ set_of(kNumericChanges);
  return set;
}
const CodePointSet& normalizer_inert() {
  static const CodePointSet set = set_of(kNormalizerUnknown);
  return set;
}

const CodePointSet& joins_grapheme() {
  static const CodePointSet set = set_of(kGraphemeJoins);
  return set;
}
const CodePointSet& bert_removed() {
  static const CodePointSet set =
      (category("cc") | category("cf") | category("co")) ^ set_of(kBertRemovedChanges);
  return set;
}
const CodePointSet& bert_accents() {
  static const CodePointSet set = category("mn") ^ set_of(kBertAccentChanges);
  return set;
}
const CodePointSet& bert_punctuation() {
  static const CodePointSet set = category("p") ^ set_of(kBertPunctuationChanges);
  return set;
}

char32_t lowercase_change(char32_t c) {
  for (const auto& [upper, lower] : kLowercaseChanges) {
    if (upper == c) return lower;
  }
  return 0;
}

CodePointMap::CodePointMap(std::span<const CodePointSet> sets,
                           std::vector<std::vector<std::uint8_t>>& numbers) {
  std::vector<char32_t> starts = {0};  // membership is constant from one start to the next
  for (const auto& set : sets) {
    for (const auto& r : set.ranges()) {
      starts.push_back(r.first);
      if (r.last < kLastCodePoint) starts.push_back(r.last + 1);
    }
  }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

  numbers.assign(sets.size(), {});
  std::map<std::vector<bool>, std::uint8_t> combinations;
  std::vector<std::uint8_t> all(kLastCodePoint + 1);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    std::vector<bool> in(sets.size());
    for (std::size_t s = 0; s < sets.size(); ++s) in[s] = sets[s].contains(starts[i]);
    if (!combinations.contains(in)) {
      if (combinations.size() == 256) fail<ModelError>("more than 256 kinds of characters");
      const auto number = std::uint8_t(combinations.size());
      combinations.emplace(in, number);
      for (std::size_t s = 0; s < sets.size(); ++s) {
        if (in[s]) numbers[s].push_back(number);
      }
    }
    const std::size_t end = i + 1 < starts.size() ? starts[i + 1] : all.size();
    std::fill(all.begin() + starts[i], all.begin() + std::ptrdiff_t(end), combinations[in]);
  }

  std::unordered_map<std::string_view, std::uint16_t> known;
  for (std::size_t first = 0; first < all.size(); first += 256) {
    const std::string_view page(reinterpret_cast<const char*>(&all[first]), 256);
    const auto [it, is_new] = known.emplace(page, std::uint16_t(pages_.size()));
    if (is_new) std::copy_n(&all[first], 256, pages_.emplace_back().begin());
    index_.push_back(it->second);
  }
}

}  // namespace chiasm::language
