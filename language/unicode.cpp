#include "language/unicode.h"

#include "core/error.h"

namespace chiasm::language {

namespace {

/// One step through UTF-8: `length` bytes that are a character, or are no part of one. A part that
/// only the end of the text cuts short is `unfinished`.
struct Step {
  std::size_t length;
  bool valid, unfinished;
};

Step step(std::string_view text, std::size_t offset) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[offset + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, true, false};
  if (lead < 0xC2 || lead > 0xF4) return {1, false, false};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Table 3-7 of the Unicode Standard: the second byte is bounded after these lead bytes.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (offset + i == text.size()) return {i, false, true};
    const bool fits = i == 1 ? byte(i) >= low && byte(i) <= high : (byte(i) & 0xC0) == 0x80;
    if (!fits) return {i, false, false};
  }
  return {length, true, false};
}

}  // namespace

std::size_t first_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const Step s = step(text, i);
    if (!s.valid) return i;
    i += s.length;
  }
  return std::string_view::npos;
}

void expect_utf8(std::string_view text) {
  const std::size_t offset = first_invalid_utf8(text);
  if (offset == std::string_view::npos) return;
  fail<RequestError>("text: byte ", offset, " (value ",
                     int(static_cast<unsigned char>(text[offset])),
                     ") is not valid UTF-8; decode the text before it is tokenized");
}

char32_t next_code_point(std::string_view text, std::size_t& offset) {
  const auto byte = [&](std::size_t i) {
    return char32_t(static_cast<unsigned char>(text[offset + i]));
  };
  const std::size_t length = utf8_length(text[offset]);
  char32_t c = byte(0);
  if (length == 2) c = (c & 0x1F) << 6 | (byte(1) & 0x3F);
  if (length == 3) c = (c & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
  if (length == 4) {
    c = (c & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  }
  offset += length;
  return c;
}

void append_utf8(char32_t c, std::string& out) {
  const auto trail = [&](int shift) { out += char(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xC0 | c >> 6);
    trail(0);
  } else if (c < 0x10000) {
    out += char(0xE0 | c >> 12);
    trail(6);
    trail(0);
  } else {
    out += char(0xF0 | c >> 18);
    trail(12);
    trail(6);
    trail(0);
  }
}

std::size_t append_utf8_lossy(std::string_view bytes, bool keep_tail, std::string& out) {
  std::size_t i = 0;
  while (i < bytes.size()) {
    const Step s = step(bytes, i);
    if (s.unfinished && keep_tail) break;
    if (s.valid) {
      out.append(bytes.substr(i, s.length));
    } else {
      out += "\xEF\xBF\xBD";
    }
    i += s.length;
  }
  return i;
}

}  // namespace chiasm::language
