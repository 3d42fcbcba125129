/// Any bytes: parse_safetensors returns tensors that lie inside them, or throws FormatError; so
/// does parse_packed, and matrices of what it returns read inside their bytes or are refused.
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/packed_file.h"
#include "core/safetensors.h"
#include "kernels/matrix.h"

namespace {

void read_packed(std::span<const std::byte> bytes) {
  using namespace chiasm;
  for (const auto& [name, entry] : parse_packed(bytes, "fuzz").tensors) {
    if (entry.packed.empty()) continue;
    try {
      const std::int64_t out = entry.shape[0], in = entry.shape.count() / out;
      const auto matrix = kernels::Matrix::over(entry.bytes, out, in, kernels::WeightFormat::q8);
      std::vector<float> row(std::size_t(matrix.in()));
      matrix.row(0, row.data());
      matrix.row(matrix.out() - 1, row.data());
    } catch (const ModelError&) {
    } catch (const ShapeError&) {  // a size that overflows
    }
  }
}

}  // namespace

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
    read_packed(bytes);
  } catch (const chiasm::FormatError&) {
  }
  return 0;
}
