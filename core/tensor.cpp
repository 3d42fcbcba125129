#include "core/tensor.h"

#include <cstdlib>

#include "core/device.h"

namespace chiasm {

namespace {
constexpr std::size_t kAlignment = 64;  // one cache line, one AVX-512 vector
}

/// Bytes to take, rounded up.
std::size_t Tensor::set_sizes(DType dtype, const Shape& shape) {
  dtype_ = dtype;
  shape_ = shape;
  const std::int64_t count = shape.count();
  if (__builtin_mul_overflow(std::size_t(count), size_of(dtype), &bytes_)) {
    fail<ShapeError>("tensor of shape ", shape, " is too large");
  }
  const std::size_t rounded = (bytes_ + kAlignment - 1) / kAlignment * kAlignment;
  return rounded > 0 ? rounded : kAlignment;
}

Tensor::Tensor(DType dtype, Shape shape) {
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, set_sizes(dtype, shape))));
  if (!data_) fail<RequestError>("out of memory: ", bytes_, " bytes for a tensor of shape ", shape);
}

Tensor::Tensor(DType dtype, Shape shape, Device& device) {
  data_ = {device.allocate(set_sizes(dtype, shape)), Free(device)};
}

void Tensor::Free::operator()(std::byte* p) const {
  if (device != nullptr) {
    device->release(p);
  } else {
    std::free(p);
  }
}

void Tensor::check(DType wanted, std::string_view view_name) const {
  if (wanted != dtype_) {
    fail<ShapeError>(view_name, ": holds ", name(dtype_), ", asked for ", name(wanted));
  }
}

}  // namespace chiasm
