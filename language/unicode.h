#pragma once
/// UTF-8 and the character classes of the `tokenizers` library (whose Unicode version is its own).
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chiasm::language {

inline constexpr char32_t kLastCodePoint = 0x10FFFF;

/// Byte offset of the first byte that is no part of valid UTF-8; npos when all is valid.
std::size_t first_invalid_utf8(std::string_view text);

/// RequestError that names the byte offset unless `text` is valid UTF-8.
void expect_utf8(std::string_view text);

/// Bytes of the character whose first byte is `lead`. The text must be valid.
constexpr std::size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// Reads the character at `offset` of valid UTF-8 and moves `offset` behind it.
char32_t next_code_point(std::string_view text, std::size_t& offset);

void append_utf8(char32_t code_point, std::string& out);

/// Appends `bytes` with every maximal invalid part replaced by U+FFFD, as Rust's
/// String::from_utf8_lossy does. With `keep_tail` an unfinished character at the end is left out;
/// returns how many bytes were consumed.
std::size_t append_utf8_lossy(std::string_view bytes, bool keep_tail, std::string& out);

struct CodePointRange {
  char32_t first, last;
  friend bool operator==(const CodePointRange& a, const CodePointRange& b) {
    return a.first == b.first && a.last == b.last;
  }
};

/// A set of code points: sorted ranges that neither touch nor overlap.
class CodePointSet {
 public:
  CodePointSet() = default;
  explicit CodePointSet(std::vector<CodePointRange> ranges);

  bool contains(char32_t c) const;
  CodePointSet complement() const;
  CodePointSet operator|(const CodePointSet& other) const;
  CodePointSet operator&(const CodePointSet& other) const;
  CodePointSet operator^(const CodePointSet& other) const;
  bool operator==(const CodePointSet& other) const { return ranges_ == other.ranges_; }
  std::span<const CodePointRange> ranges() const { return ranges_; }

 private:
  std::vector<CodePointRange> ranges_;
};

/// The set of a property's name as the library's regex engine knows it: a general category ("L",
/// "Lu", "Letter") or one of a few scripts ("Han"); case, spaces, '-' and '_' do not matter.
/// ModelError for a name that is not supported.
CodePointSet unicode_property(std::string_view name);

const CodePointSet& white_space();       ///< \s
const CodePointSet& regex_word();        ///< \w of the library's regex engine
const CodePointSet& regex_class_word();  ///< [\w] of that engine, which lacks a few of Latin-1
const CodePointSet& rust_word();         ///< \w of Rust's regex crate, for `single_word` tokens
const CodePointSet& rust_numeric();      ///< char::is_numeric, which Digits splits off
const CodePointSet& normalizer_inert();  ///< plain starters to the library, not to libutf8proc
const CodePointSet& joins_grapheme();    ///< goes on with the one before, unknown to libutf8proc
const CodePointSet& bert_removed();      ///< taken out by BertNormalizer's clean_text
const CodePointSet& bert_accents();      ///< taken out by its strip_accents, after decomposition
const CodePointSet& bert_punctuation();  ///< words of their own to BertPreTokenizer
char32_t lowercase_change(char32_t c);   ///< lower case where libutf8proc gives another, else 0

/// A number below 256 for each code point, in two stages of tables.
class CodePointMap {
 public:
  CodePointMap() = default;
  /// Gives every code point the number of the combination of `sets` it is in. `numbers[s]` becomes
  /// the numbers that make up sets[s]. ModelError when there are more than 256 combinations.
  CodePointMap(std::span<const CodePointSet> sets, std::vector<std::vector<std::uint8_t>>& numbers);

  std::uint8_t operator[](char32_t c) const { return pages_[index_[c >> 8]][c & 0xFF]; }

 private:
  std::vector<std::uint16_t> index_;
  std::vector<std::array<std::uint8_t, 256>> pages_;
};

/// Byte offset where the extended grapheme cluster that begins at `begin` of valid UTF-8 ends
/// (Unicode Annex 29, the library's version of it).
std::size_t grapheme_end(std::string_view text, std::size_t begin);

/// Normalization form C, D, KC or KD of valid UTF-8, equal to the library's.
enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);

/// Full lower case of each character, as Rust's char::to_lowercase.
std::string lowercase(std::string_view text);

}  // namespace chiasm::language
