/// Normalization forms through libutf8proc, held to the characters the library knows.
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

utf8proc_option_t options_of(NormalForm form) {
  const int stable = UTF8PROC_STABLE;
  switch (form) {
    case NormalForm::nfc:
      return utf8proc_option_t(stable | UTF8PROC_COMPOSE);
    case NormalForm::nfd:
      return utf8proc_option_t(stable | UTF8PROC_DECOMPOSE);
    case NormalForm::nfkc:
      return utf8proc_option_t(stable | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case NormalForm::nfkd:
      return utf8proc_option_t(stable | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  }
  return UTF8PROC_STABLE;
}

void append_normal(std::string_view text, NormalForm form, std::string& out) {
  if (text.empty()) return;
  utf8proc_uint8_t* raw = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   utf8proc_ssize_t(text.size()), &raw, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(raw, &std::free);
  if (length < 0) fail<RequestError>("text: normalization: ", utf8proc_errmsg(length));
  out.append(reinterpret_cast<const char*>(raw), std::size_t(length));
}

}  // namespace

std::string normalize(std::string_view text, NormalForm form) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return std::string(text);
  // Characters the library does not know are starters that stand apart, so the text is normalized
  // between them.
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    const char32_t c = next_code_point(text, at);
    if (c < 0x300 || !normalizer_inert().contains(c)) continue;
    append_normal(text.substr(begin, start - begin), form, out);
    out.append(text.substr(start, at - start));
    begin = at;
  }
  append_normal(text.substr(begin), form, out);
  return out;
}

std::size_t grapheme_end(std::string_view text, std::size_t begin) {
  std::size_t at = begin;
  char32_t before = next_code_point(text, at);
  utf8proc_int32_t state = 0;
  while (at < text.size()) {
    const std::size_t here = at;
    const char32_t c = next_code_point(text, at);
    const bool joins = joins_grapheme().contains(c) && before != '\r' && before != '\n';
    const bool breaks = utf8proc_grapheme_break_stateful(utf8proc_int32_t(before),
                                                         utf8proc_int32_t(c), &state) != 0;
    if (breaks && !joins) return here;
    before = c;
  }
  return text.size();
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c == 0x130) {
      out += "i\xCC\x87";  // the one character whose lower case is two: i and a dot above
      continue;
    }
    const char32_t change = c < 0x80 ? 0 : lowercase_change(c);
    append_utf8(change != 0 ? change : char32_t(utf8proc_tolower(utf8proc_int32_t(c))), out);
  }
  return out;
}

}  // namespace chiasm::language
