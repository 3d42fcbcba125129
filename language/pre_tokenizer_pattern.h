#pragma once
/// Regular expressions of `tokenizer.json`, with the library's own character classes.
///
/// The library runs Oniguruma; PCRE2 runs here and its Unicode tables are others. So PCRE2 never
/// sees a character: every set of characters in the pattern (a literal, \p{L}, [^\r\n]) becomes a
/// set of byte values, one value for each combination of sets that a character can be in, and the
/// text is handed to PCRE2 as those bytes, one for each character.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "language/unicode.h"

namespace chiasm::language {

/// A stretch of bytes of a text: a match, or the gap between two matches.
struct Stretch {
  std::size_t begin, end;
  bool is_match;
};

/// A compiled pattern. Immutable; one object may be used by several threads at once.
class Pattern {
 public:
  /// Compiles Oniguruma syntax. ModelError names what is not supported and where.
  static Pattern regex(std::string_view pattern);
  /// A pattern that matches exactly `text`.
  static Pattern literal(std::string_view text);
  /// A pattern that matches any one character of `set`.
  static Pattern one_of(const CodePointSet& set);
  /// \w+|[^\w\s]+ with the classes of Rust's regex crate.
  static Pattern rust_words();

  /// Cuts valid UTF-8 into matches and gaps, which cover it in order. RequestError when the text
  /// asks for more backtracking than is allowed.
  std::vector<Stretch> cut(std::string_view text) const;

 private:
  struct Compiled;
  explicit Pattern(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  friend class PatternCompiler;

  std::shared_ptr<const Compiled> compiled_;
};

/// A pattern as pieces of PCRE2 syntax with sets of characters between them.
struct PatternItem {
  std::string syntax;  // used when set < 0
  int set = -1;        // index into PatternSource::sets
};
struct PatternSource {
  std::vector<PatternItem> items;
  std::vector<CodePointSet> sets;

  void add(std::string_view syntax) { items.push_back({std::string(syntax), -1}); }
  void add(const CodePointSet& set);
};

/// Reads Oniguruma syntax. ModelError as Pattern::regex.
PatternSource parse_pattern(std::string_view pattern);

}  // namespace chiasm::language
