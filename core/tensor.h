#pragma once
/// Two tensor types and no third: `Tensor` owns, `TensorView` sees.
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

#include "core/dtype.h"
#include "core/error.h"
#include "core/shape.h"

namespace chiasm {

class Device;

/// Row-major view of elements that somebody else owns and must keep alive.
/// The last dimension is contiguous; `row_stride()` elements lie between the starts of consecutive
/// rows (a row being the last dimension), so a view may select columns of a wider matrix.
/// `name` appears in errors; pass a string literal.
template <class T>
class TensorView {
 public:
  TensorView() = default;
  /// A contiguous view.
  TensorView(T* data, Shape shape, std::string_view name = "tensor")
      : data_(data), shape_(shape), name_(name) {
    row_stride_ = shape.rank() > 0 ? shape[-1] : 1;
  }
  /// Rows `row_stride` elements apart.
  TensorView(T* data, Shape shape, std::int64_t row_stride, std::string_view name)
      : data_(data), shape_(shape), row_stride_(row_stride), name_(name) {
    if (shape.rank() > 0 && row_stride < shape[-1]) {
      fail<ShapeError>(name, ": row stride ", row_stride, " is shorter than a row of ", shape);
    }
  }
  // A view of T is a view of const T.
  template <class U>
  requires(std::is_same_v<const U, T>)
      TensorView(const TensorView<U>& other)  // NOLINT(google-explicit-constructor)
      : data_(other.data()),
        shape_(other.shape()),
        row_stride_(other.row_stride()),
        name_(other.name()) {}

  const Shape& shape() const { return shape_; }
  T* data() const { return data_; }
  std::int64_t row_stride() const { return row_stride_; }
  std::string_view name() const { return name_; }
  bool contiguous() const { return shape_.rank() < 2 || row_stride_ == shape_[-1]; }
  /// Number of rows: the product of all dimensions but the last.
  std::int64_t rows() const {
    std::int64_t n = 1;
    for (int i = 0; i + 1 < shape_.rank(); i++) n *= shape_[i];
    return n;
  }
  std::int64_t cols() const { return shape_.rank() > 0 ? shape_[-1] : 1; }
  T* row(std::int64_t i) const { return data_ + i * row_stride_; }

  /// Rows [first, first + count) of a rank-2 view.
  TensorView slice_rows(std::int64_t first, std::int64_t count) const {
    return TensorView(row(first), Shape{count, cols()}, row_stride_, name_);
  }
  /// Columns [first, first + count) of a rank-2 view.
  TensorView slice_cols(std::int64_t first, std::int64_t count) const {
    return TensorView(data_ + first, Shape{rows(), count}, row_stride_, name_);
  }
  /// The one shape check: `w.expect({dim})` throws ShapeError with both shapes.
  const TensorView& expect(const Shape& wanted) const {
    if (!(shape_ == wanted)) fail<ShapeError>(name_, ": shape ", shape_, ", expected ", wanted);
    return *this;
  }

 private:
  T* data_ = nullptr;
  Shape shape_;
  std::int64_t row_stride_ = 0;
  std::string_view name_ = "tensor";
};

/// Owns 64-byte aligned, uninitialised memory of one dtype and shape. Move-only.
class Tensor {
 public:
  Tensor() = default;
  /// Throws RequestError with the size when memory is refused.
  Tensor(DType dtype, Shape shape);
  /// In the memory of a device (core/device.h), which must outlive it: for operators alone, the
  /// host cannot read it.
  Tensor(DType dtype, Shape shape, Device& device);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t bytes() const { return bytes_; }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }

  /// Typed view; throws ShapeError when T is not this tensor's dtype.
  template <class T>
  TensorView<T> view(std::string_view name = "tensor") {
    check(dtype_of<std::remove_const_t<T>>, name);
    return TensorView<T>(reinterpret_cast<T*>(data_.get()), shape_, name);
  }
  template <class T>
  TensorView<const T> view(std::string_view name = "tensor") const {
    check(dtype_of<std::remove_const_t<T>>, name);
    return TensorView<const T>(reinterpret_cast<const T*>(data_.get()), shape_, name);
  }

 private:
  struct Free {
    Free() : device(nullptr) {}
    explicit Free(Device& of) : device(&of) {}
    Device* device;  // null: the host
    void operator()(std::byte* p) const;
  };
  std::size_t set_sizes(DType dtype, const Shape& shape);
  void check(DType wanted, std::string_view name) const;

  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
  DType dtype_ = DType::f32;
  Shape shape_;
};

/// A float32 tensor of the given shape.
inline Tensor float_tensor(Shape shape) { return Tensor(DType::f32, shape); }

}  // namespace chiasm
