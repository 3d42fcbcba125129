#include "language/pre_tokenizer_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <optional>

#include "core/error.h"

namespace chiasm::language {

namespace {

// Steps of PCRE2 for one match: enough for any run of characters, an end to exponential patterns.
constexpr std::uint32_t kMatchLimit = 1'000'000, kMatchLimitPerCharacter = 8;

std::string pcre_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

/// A PCRE2 class of the given byte values.
std::string byte_class(const std::vector<std::uint8_t>& values) {
  if (values.empty()) return "(?!)";
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "[";
  for (const std::uint8_t v : values) {
    out += "\\x";
    out += digits[v >> 4];
    out += digits[v & 15];
  }
  return out + "]";
}

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};

}  // namespace

struct Pattern::Compiled {
  std::unique_ptr<pcre2_code, Free> code;
  CodePointMap kinds;
};

class PatternCompiler {
 public:
  static Pattern compile(const PatternSource& source) {
    auto compiled = std::make_shared<Pattern::Compiled>();
    std::vector<std::vector<std::uint8_t>> numbers;
    compiled->kinds = CodePointMap(source.sets, numbers);
    std::string syntax;
    for (const auto& item : source.items) {
      syntax += item.set < 0 ? item.syntax : byte_class(numbers[std::size_t(item.set)]);
    }
    int error = 0;
    PCRE2_SIZE offset = 0;
    compiled->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(syntax.data()), syntax.size(),
                                       PCRE2_NO_AUTO_CAPTURE, &error, &offset, nullptr));
    if (!compiled->code) fail<ModelError>("cannot be compiled: ", pcre_message(error));
    // Without a compiled form (no executable memory, say) PCRE2 interprets the pattern.
    pcre2_jit_compile(compiled->code.get(), PCRE2_JIT_COMPLETE);
    return Pattern(std::move(compiled));
  }
};

void PatternSource::add(const CodePointSet& set) {
  std::size_t i = 0;
  while (i < sets.size() && !(sets[i] == set)) ++i;
  if (i == 255) fail<ModelError>("more than 255 different characters and classes");
  if (i == sets.size()) sets.push_back(set);
  items.push_back({"", int(i)});
}

Pattern Pattern::regex(std::string_view pattern) {
  const auto shown = pattern.substr(0, 200);
  return in_context("pattern \"" + std::string(shown) + "\"",
                    [&] { return PatternCompiler::compile(parse_pattern(pattern)); });
}

Pattern Pattern::literal(std::string_view text) {
  PatternSource source;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    source.add(CodePointSet({{c, c}}));
  }
  return PatternCompiler::compile(source);
}

Pattern Pattern::one_of(const CodePointSet& set) {
  PatternSource source;
  source.add(set);
  return PatternCompiler::compile(source);
}

Pattern Pattern::rust_words() {
  PatternSource source;
  source.add(rust_word());
  source.add("+|");
  source.add((rust_word() | white_space()).complement());
  source.add("+");
  return PatternCompiler::compile(source);
}

namespace {

/// Searches one text: its characters as the pattern's bytes.
class Search {
 public:
  Search(const pcre2_code* code, const CodePointMap& kinds, std::string_view text)
      : code_(code),
        data_(pcre2_match_data_create_from_pattern(code, nullptr)),
        context_(pcre2_match_context_create(nullptr)) {
    if (!data_ || !context_) throw std::bad_alloc();
    kinds_.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) kinds_ += char(kinds[next_code_point(text, at)]);
    const std::size_t limit = kMatchLimit + kMatchLimitPerCharacter * kinds_.size();
    pcre2_set_match_limit(context_.get(), std::uint32_t(std::min<std::size_t>(limit, 1u << 31)));
  }

  std::size_t characters() const { return kinds_.size(); }

  /// The first match at or after character `from`, in characters.
  std::optional<Stretch> next(std::size_t from) {
    int count = match(from, 0);
    // The compiled form has a small fixed stack; the interpreter takes its memory from the heap.
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) count = match(from, PCRE2_NO_JIT);
    if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (count < 0) {
      fail<RequestError>("text: the tokenizer's pattern cannot be matched on these ", kinds_.size(),
                         " characters: ", pcre_message(count));
    }
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data_.get());
    return Stretch{bounds[0], bounds[1], true};
  }

 private:
  int match(std::size_t from, std::uint32_t options) {
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(kinds_.data()), kinds_.size(), from,
                       options, data_.get(), context_.get());
  }

  const pcre2_code* code_;
  std::unique_ptr<pcre2_match_data, Free> data_;
  std::unique_ptr<pcre2_match_context, Free> context_;
  std::string kinds_;
};

}  // namespace

std::vector<Stretch> Pattern::cut(std::string_view text) const {
  std::vector<Stretch> found;
  Search search(compiled_->code.get(), compiled_->kinds, text);
  std::size_t character = 0, byte = 0;  // how far the text was walked
  const auto byte_of = [&](std::size_t wanted) {
    for (; character < wanted; ++character) byte += utf8_length(text[byte]);
    return byte;
  };
  std::size_t from = 0, covered = 0;
  std::optional<std::size_t> last_end;
  while (from <= search.characters()) {
    const auto match = search.next(from);
    if (!match) break;
    if (match->begin == match->end && last_end == match->end) {
      ++from;  // an empty match right behind the last one does not count
      continue;
    }
    const std::size_t begin = byte_of(match->begin);
    if (covered != begin) found.push_back({covered, begin, false});
    covered = byte_of(match->end);
    found.push_back({begin, covered, true});
    from = match->end;
    last_end = match->end;
  }
  if (covered != text.size()) found.push_back({covered, text.size(), false});
  return found;
}

}  // namespace chiasm::language
