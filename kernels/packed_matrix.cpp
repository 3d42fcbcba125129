// Packed matrices that lie in a file: their names, and looking at them where they are.
#include <array>
#include <cstdint>

#include "core/error.h"
#include "core/packed_file.h"
#include "kernels/cpu/packed.h"

namespace chiasm::kernels {

namespace {

struct Entry {
  WeightFormat format;
  std::string_view name;
};
constexpr std::array kFormats = {
    Entry{WeightFormat::f32, "f32"},         Entry{WeightFormat::bf16, "bf16"},
    Entry{WeightFormat::f16, "f16"},         Entry{WeightFormat::q8, "q8"},
    Entry{WeightFormat::q8_rows, "q8_rows"}, Entry{WeightFormat::q4, "q4"},
    Entry{WeightFormat::q5_1, "q5_1"},       Entry{WeightFormat::q2_k, "q2_k"},
    Entry{WeightFormat::q3_k, "q3_k"},       Entry{WeightFormat::q4_k, "q4_k"},
    Entry{WeightFormat::q5_k, "q5_k"},       Entry{WeightFormat::q6_k, "q6_k"},
    Entry{WeightFormat::q4_32, "q4_32"},     Entry{WeightFormat::q4_128, "q4_128"},
};

}  // namespace

std::string_view packed_layout() { return "panel32.1"; }

std::string_view format_name(WeightFormat format) {
  for (const Entry& entry : kFormats) {
    if (entry.format == format) return entry.name;
  }
  fail<ShapeError>("a weight format without a name: ", int(format));
}

std::span<const std::byte> Matrix::data() const { return {packed_->data.get(), packed_->bytes}; }

Matrix Matrix::over(std::span<const std::byte> bytes, std::int64_t out, std::int64_t in,
                    WeightFormat format) {
  Matrix matrix;
  Packed& packed = *matrix.packed_;
  packed.set_sizes(out, in, format);
  const std::size_t padded =
      (packed.bytes + kPackedAlignment - 1) / kPackedAlignment * kPackedAlignment;
  if (bytes.size() != padded) {
    fail<ModelError>("a packed matrix of ", out, " x ", in, " as ", format_name(format), " takes ",
                     padded, " bytes, the file has ", bytes.size());
  }
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kPackedAlignment != 0) {
    fail<ModelError>("a packed matrix does not begin at a multiple of ", kPackedAlignment,
                     " bytes of the file");
  }
  // Never written through: a Matrix is immutable once it is made.
  packed.data = {const_cast<std::byte*>(bytes.data()), Packed::Free{false}};
  return matrix;
}

}  // namespace chiasm::kernels
