/// Oniguruma syntax, read into sets of characters and PCRE2 syntax between them.
#include <optional>
#include <utility>

#include "core/error.h"
#include "language/pre_tokenizer_pattern.h"

namespace chiasm::language {

namespace {

constexpr std::size_t kMaxPattern = 8192, kMaxDepth = 100;

CodePointSet single(char32_t c) { return CodePointSet({{c, c}}); }
bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// The set with the other case of its ASCII letters, and what folds to them: U+017F (s), U+212A
/// (k).
CodePointSet fold_case(const CodePointSet& set) {
  CodePointSet out = set;
  for (char32_t lower = 'a'; lower <= 'z'; ++lower) {
    CodePointSet same({{lower, lower}, {lower - 32, lower - 32}});
    if (lower == 's') same = same | single(0x17F);
    if (lower == 'k') same = same | single(0x212A);
    if (!(set & same).ranges().empty()) out = out | same;
  }
  return out;
}

class Parser {
 public:
  explicit Parser(std::string_view pattern) : text_(pattern) {}

  PatternSource parse() {
    if (text_.size() > kMaxPattern) fail<ModelError>("longer than ", kMaxPattern, " bytes");
    alternatives(false);
    if (at_ < text_.size()) reject("unmatched ')'");
    return std::move(source_);
  }

 private:
  [[noreturn]] void reject(std::string_view what) const {
    fail<ModelError>("offset ", at_, ": ", what, " is not supported");
  }
  bool done() const { return at_ >= text_.size(); }
  bool peek(std::string_view wanted) const { return text_.substr(at_, wanted.size()) == wanted; }
  bool take(std::string_view wanted) {
    if (!peek(wanted)) return false;
    at_ += wanted.size();
    return true;
  }
  char32_t next() {
    if (done()) reject("the end of the pattern here");
    return next_code_point(text_, at_);
  }

  /// One alternative after the other, up to the closing parenthesis or the end.
  void alternatives(bool fold) {
    if (++depth_ > kMaxDepth) reject("nesting this deep");
    literal_before_ = 0;
    if (take("(?i)")) fold = true;  // elsewhere it would also reach over the next alternatives
    while (!done() && !peek(")")) {
      if (take("|")) {
        source_.add("|");
        literal_before_ = 0;
      } else {
        term(fold);
      }
    }
    --depth_;
  }

  /// An atom and its quantifiers.
  void term(bool fold) {
    const std::size_t begin = source_.items.size();
    const std::size_t start = at_;
    const bool repeatable = atom(fold);
    bool quantified = false;
    while (!done() && (peek("*") || peek("+") || peek("?") || is_interval())) {
      if (!repeatable) reject("a quantifier without something to repeat");
      // "a+*": a repeated repeat. PCRE2 would read "{1,3}+" as possessive.
      if (quantified) {
        source_.items.insert(source_.items.begin() + std::ptrdiff_t(begin), {"(?:", -1});
        source_.add(")");
      }
      quantifier();
      quantified = true;
    }
    if (quantified || at_ - start != 1) literal_before_ = 0;
  }

  bool is_interval() const {
    std::size_t i = at_;
    if (i >= text_.size() || text_[i] != '{') return false;
    const auto digits = [&] {
      const std::size_t from = ++i;
      while (i < text_.size() && is_digit(static_cast<unsigned char>(text_[i]))) ++i;
      return i > from;
    };
    bool any = digits();
    if (i < text_.size() && text_[i] == ',') any = digits() || any;
    return any && i < text_.size() && text_[i] == '}';
  }

  void quantifier() {
    std::string out;
    if (take("{")) {
      if (peek(",")) out = "0";
      while (!peek("}")) out += char(next());
      take("}");
      const bool exact = out.find(',') == std::string::npos;
      out = "{" + out + "}";
      if (peek("?") && exact) reject("'?' after an exact count");
      if (take("?")) out += "?";
    } else {
      out = char(next());
      if (peek("?") || peek("+")) out += char(next());  // lazy, possessive
    }
    source_.add(out);
  }

  /// Returns whether a quantifier may follow.
  bool atom(bool fold) {
    const char32_t c = next();
    switch (c) {
      case '(':
        return group(fold);
      case '[':
        add(char_class(fold), false);
        return true;
      case '.':
        add(single('\n').complement(), false);
        return true;
      case '^':
        line_edge("(?<!", true);
        return false;
      case '$':
        line_edge("(?!", false);
        return false;
      case '*':
      case '+':
      case '?':
        --at_;
        reject("a quantifier without something to repeat");
      case '\\':
        return escape(fold);
      default:
        literal(c, fold);
        return true;
    }
  }

  void add(const CodePointSet& set, bool fold) { source_.add(fold ? fold_case(set) : set); }

  void literal(char32_t c, bool fold) {
    if (fold) {
      if (c >= 0x80) reject("(?i) over characters beyond ASCII");
      // Oniguruma also folds these pairs to one character: the sharp s and the ligatures.
      const char32_t lower = is_letter(c) ? (c | 32) : c;
      for (const auto& pair : {U"ss", U"ff", U"fi", U"fl", U"st"}) {
        if (literal_before_ == pair[0] && lower == pair[1]) reject("(?i) over ss, ff, fi, fl, st");
      }
      literal_before_ = lower;
    }
    add(single(c), fold);
  }

  /// '^' after a newline that is not the last character, '$' before any newline.
  void line_edge(std::string_view look, bool begin) {
    source_.add(look);
    add(single('\n').complement(), false);
    source_.add(")");
    if (begin) source_.add("(?:(?!\\z)|(?<![\\x00-\\xff]))");
  }

  bool group(bool fold) {
    std::string_view open = "(?:";
    bool look = false;
    if (take("?")) {
      if (take("i:"))
        fold = true;
      else if (take("-i:"))
        fold = false;
      else if (take(":"))
        open = "(?:";
      else if (take(">"))
        open = "(?>";
      else if (take("=")) {
        open = "(?=";
        look = true;
      } else if (take("!")) {
        open = "(?!";
        look = true;
      } else if (take("<=")) {
        open = "(?<=";
        look = true;
      } else if (take("<!")) {
        open = "(?<!";
        look = true;
      } else
        reject("this kind of group");
    }
    source_.add(open);
    alternatives(fold);
    if (!take(")")) reject("a missing ')'");
    source_.add(")");
    return !look;
  }

  /// An escape outside of a class.
  bool escape(bool fold) {
    if (take("A")) {
      source_.add("\\A");
      return false;
    }
    if (take("z")) {
      source_.add("\\z");
      return false;
    }
    if (take("Z")) {
      source_.add("(?=");
      add(single('\n'), false);
      source_.add("?\\z)");
      return false;
    }
    if (peek("b") || peek("B")) {
      word_edge(next() == 'b');
      return false;
    }
    const Member member = escaped(false);
    if (member.is_class) {
      add(member.set, false);
    } else {
      literal(member.character(), fold);
    }
    return true;
  }

  void word_edge(bool at_edge) {
    const auto look = [&](std::string_view open) {
      source_.add(open);
      add(regex_word(), false);
      source_.add(")");
    };
    source_.add("(?:");
    look("(?<=");
    look(at_edge ? "(?!" : "(?=");
    source_.add("|");
    look("(?<!");
    look(at_edge ? "(?=" : "(?!");
    source_.add(")");
  }

  /// A member of a class, or an atom: one character, or a class of its own (\s, \p{L}).
  struct Member {
    CodePointSet set;
    bool is_class;
    char32_t character() const { return set.ranges()[0].first; }
  };

  /// What follows a backslash.
  Member escaped(bool in_class) {
    const char32_t c = next();
    if (c == 'p' || c == 'P') return {property(c == 'P'), true};
    if (const auto set = is_letter(c) ? named_class(c | 32, in_class) : std::nullopt) {
      return {c >= 'a' ? *set : set->complement(), true};
    }
    constexpr std::pair<char32_t, char32_t> controls[] = {
        {'r', '\r'}, {'n', '\n'}, {'t', '\t'}, {'f', '\f'}, {'v', '\v'}, {'a', '\a'}, {'e', 0x1B}};
    for (const auto& [name, control] : controls) {
      if (c == name) return {single(control), false};
    }
    if (c == 'x') return {single(take("{") ? hex(1, 8, true) : hex(1, 2, false)), false};
    if (c == 'u') return {single(hex(4, 4, false)), false};
    if (is_digit(c) || is_letter(c)) reject("the escape \\" + std::string(1, char(c)));
    return {single(c), false};
  }

  static std::optional<CodePointSet> named_class(char32_t letter, bool in_class) {
    switch (letter) {
      case 's':
        return white_space();
      case 'd':
        return unicode_property("Nd");
      case 'w':
        return in_class ? regex_class_word() : regex_word();
      case 'h':
        return CodePointSet({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
      default:
        return std::nullopt;
    }
  }

  CodePointSet property(bool negated) {
    if (!take("{")) reject("\\p without braces");
    if (take("^")) negated = !negated;
    const std::size_t end = text_.find('}', at_);
    if (end == std::string_view::npos) reject("\\p{ without '}'");
    const CodePointSet set = unicode_property(text_.substr(at_, end - at_));
    at_ = end + 1;
    return negated ? set.complement() : set;
  }

  char32_t hex(std::size_t least, std::size_t most, bool braced) {
    char32_t value = 0;
    std::size_t count = 0;
    for (; count < most && !done(); ++count, ++at_) {
      const char c = text_[at_];
      const auto digit = std::string_view("0123456789abcdef")
                             .find(char(is_letter(static_cast<unsigned char>(c)) ? c | 32 : c));
      if (digit == std::string_view::npos) break;
      value = value << 4 | char32_t(digit);
    }
    if (count < least || (braced && !take("}"))) reject("this hexadecimal escape");
    if (value > kLastCodePoint || (!braced && most == 2 && value > 0x7F)) {
      reject("this hexadecimal escape");
    }
    return value;
  }

  /// A class, behind its '['.
  CodePointSet char_class(bool fold) {
    if (++depth_ > kMaxDepth) reject("nesting this deep");
    const bool negated = take("^");
    CodePointSet all = class_part(fold);
    while (take("&&")) all = all & class_part(fold);
    if (!take("]")) reject("a class without ']'");
    --depth_;
    return negated ? all.complement() : all;
  }

  /// The members of a class up to its ']' or "&&".
  CodePointSet class_part(bool fold) {
    std::vector<CodePointRange> ranges;
    const auto add_all = [&](const CodePointSet& set) {
      ranges.insert(ranges.end(), set.ranges().begin(), set.ranges().end());
    };
    bool first = true;
    while (!done() && (first || !peek("]")) && !peek("&&")) {
      first = false;
      if (peek("[:")) reject("a POSIX class");
      if (take("[")) {
        add_all(char_class(fold));
        continue;
      }
      const Member low = class_member();
      if (low.is_class) {
        add_all(low.set);
        continue;
      }
      CodePointRange range{low.character(), low.character()};
      if (peek("-") && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        take("-");
        const Member high = class_member();
        if (high.is_class || high.character() < range.first) reject("this range of a class");
        range.last = high.character();
      }
      if (fold && range.last >= 0x80) reject("(?i) over characters beyond ASCII");
      add_all(fold ? fold_case(CodePointSet({range})) : CodePointSet({range}));
    }
    return CodePointSet(std::move(ranges));
  }

  Member class_member() {
    const char32_t c = next();
    if (c != '\\') return {single(c), false};
    if (take("b")) return {single('\b'), false};
    return escaped(true);
  }

  std::string_view text_;
  std::size_t at_ = 0, depth_ = 0;
  char32_t literal_before_ = 0;  // the last literal of a case-folded run, in lower case
  PatternSource source_;
};

}  // namespace

PatternSource parse_pattern(std::string_view pattern) { return Parser(pattern).parse(); }

}  // namespace chiasm::language
