#include "core/tensor.h"

#include <cstdlib>

namespace chiasm {

namespace {
constexpr std::size_t kAlignment = 64;  // one cache line, one AVX-512 vector
}

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(shape) {
  const std::int64_t count = shape.count();
  if (__builtin_mul_overflow(std::size_t(count), size_of(dtype), &bytes_)) {
    fail<ShapeError>("tensor of shape ", shape, " is too large");
  }
  const std::size_t rounded = (bytes_ + kAlignment - 1) / kAlignment * kAlignment;
  data_.reset(
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded > 0 ? rounded : kAlignment)));
  if (!data_) fail<RequestError>("out of memory: ", bytes_, " bytes for a tensor of shape ", shape);
}

void Tensor::Free::operator()(std::byte* p) const { std::free(p); }

void Tensor::check(DType wanted, std::string_view view_name) const {
  if (wanted != dtype_) {
    fail<ShapeError>(view_name, ": holds ", name(dtype_), ", asked for ", name(wanted));
  }
}

}  // namespace chiasm
