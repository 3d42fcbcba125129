/// Any bytes: parse_gguf returns values and tensors that lie inside them, or throws FormatError.
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/gguf.h"

namespace {

template <class Read>
void attempt(const Read& read) {
  try {
    read();
  } catch (const chiasm::FormatError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  attempt([&] {
    volatile std::size_t sum = 0;
    const chiasm::GgufContents gguf = chiasm::parse_gguf(bytes, "fuzz");
    for (const auto& [key, value] : gguf.metadata) {
      const chiasm::GgufValue& v = value;
      attempt([&] { sum = sum + std::size_t(v.integer()); });
      attempt([&] { sum = sum + std::size_t(v.number() > 0); });
      attempt([&] { sum = sum + std::size_t(v.boolean()); });
      attempt([&] {
        for (const char c : v.str()) sum = sum + std::size_t(c);
      });
      attempt([&] {
        for (const std::string_view s : v.strings()) {
          for (const char c : s) sum = sum + std::size_t(c);
        }
      });
      attempt([&] { sum = sum + v.integers().size(); });
      attempt([&] { sum = sum + v.numbers().size(); });
      attempt([&] { sum = sum + v.booleans().size(); });
    }
    std::size_t covered = 0;
    for (const auto& [name, entry] : gguf.tensors) {
      // Each byte is read, so that the sanitizer sees one outside.
      for (const std::byte b : entry.bytes) sum = sum + std::to_integer<std::size_t>(b);
      covered += entry.bytes.size();
    }
    if (covered > size) std::abort();  // two tensors would share bytes
  });
  return 0;
}
