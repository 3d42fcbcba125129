#pragma once
/// The alphabet of byte-level vocabularies: one printable character for each byte (GPT-2).
#include <optional>
#include <string>
#include <string_view>

namespace chiasm::language {

/// Appends the characters that stand for `bytes`.
void append_byte_characters(std::string_view bytes, std::string& out);

/// The bytes that the characters of `text` stand for; nothing when one of them stands for none.
std::optional<std::string> bytes_of_characters(std::string_view text);

/// The byte of a byte-fallback token, "<0x0A>".
std::optional<unsigned char> fallback_byte(std::string_view token);

}  // namespace chiasm::language
