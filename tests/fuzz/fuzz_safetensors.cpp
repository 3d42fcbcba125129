/// Any bytes: parse_safetensors returns tensors that lie inside them, or throws FormatError.
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    std::size_t covered = 0;
    volatile unsigned sum = 0;
    for (const auto& [name, entry] : chiasm::parse_safetensors(bytes, "fuzz")) {
      const auto wanted = std::size_t(entry.shape.count()) * chiasm::size_of(entry.dtype);
      if (entry.bytes.size() != wanted) std::abort();
      // Each byte is read, so that the sanitizer sees one outside.
      for (const std::byte b : entry.bytes) sum = sum + std::to_integer<unsigned>(b);
      covered += wanted;
    }
    if (covered > size) std::abort();  // two tensors would share bytes
  } catch (const chiasm::FormatError&) {
  }
  return 0;
}
