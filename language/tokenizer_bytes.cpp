#include "language/tokenizer_bytes.h"

#include <array>

#include "language/unicode.h"

namespace chiasm::language {

namespace {

// Bytes that are printable in Latin-1 stand for themselves; the others take 0x100 and up, in order.
struct Alphabet {
  std::array<std::string, 256> character;
  std::array<int, 0x200> byte;  // -1: stands for no byte

  Alphabet() {
    byte.fill(-1);
    char32_t spare = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
      const char32_t c = printable ? char32_t(b) : spare++;
      append_utf8(c, character[std::size_t(b)]);
      byte[c] = b;
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet table;
  return table;
}

}  // namespace

void append_byte_characters(std::string_view bytes, std::string& out) {
  const auto& table = alphabet();
  for (const char b : bytes) out += table.character[static_cast<unsigned char>(b)];
}

std::optional<std::string> bytes_of_characters(std::string_view text) {
  const auto& table = alphabet();
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c >= table.byte.size() || table.byte[c] < 0) return std::nullopt;
    out += char(table.byte[c]);
  }
  return out;
}

std::optional<unsigned char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const bool digit = c >= '0' && c <= '9', letter = (c | 32) >= 'a' && (c | 32) <= 'f';
    if (!digit && !letter) return std::nullopt;
    value = value * 16 + (digit ? c - '0' : (c | 32) - 'a' + 10);
  }
  return static_cast<unsigned char>(value);
}

}  // namespace chiasm::language
