#pragma once
/// A weight matrix in the kernels' own packed layout, and the only door to it.
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/context.h"
#include "core/tensor.h"
#include "kernels/activation.h"

namespace chiasm::kernels {

/// How a Matrix keeps its numbers.
///   f32:  float32 weights, float32 arithmetic
///   bf16: bfloat16 weights; float32 accumulation. Activations are narrowed to bfloat16 where the
///         CPU multiplies bfloat16 (AVX-512 BF16), else stay float32
///   f16:  float16 weights widened on the way; float32 arithmetic
enum class WeightFormat { f32, bf16, f16 };

/// Rows of a weight as they lie in a file: row-major [rows, in], dtype f32, bf16 or f16.
struct WeightRows {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
};

/// An opaque packed weight [out, in], as torch.nn.Linear stores it. Immutable, shareable,
/// move-only.
class Matrix {
 public:
  Matrix();
  ~Matrix();
  Matrix(Matrix&&) noexcept;
  Matrix& operator=(Matrix&&) noexcept;

  /// Packs the parts one below the other (q, k, v into one product). Threaded.
  static Matrix pack(const Context& ctx, std::span<const WeightRows> parts, std::int64_t in,
                     WeightFormat format);

  std::int64_t out() const;
  std::int64_t in() const;
  WeightFormat format() const;
  /// Bytes held.
  std::size_t bytes() const;
  /// Row look-up for embeddings (tied or not): y[0..in) = row `i` widened to float32.
  void row(std::int64_t i, float* y) const;

  struct Packed;  // the backend's own form, defined in kernels/cpu
  const Packed& packed() const { return *packed_; }

 private:
  std::unique_ptr<Packed> packed_;
};

/// What happens to a product before it is stored: y = act(x W^T + bias), or y += that.
struct Epilogue {
  const float* bias = nullptr;  // [out]
  Activation activation = Activation::none;
  bool accumulate = false;  // add to y (a residual stream) instead of replacing it
};

/// y[r, :] = epilogue(x[r, :] * W^T).  x: [rows, in] float32 (any row stride), y: [rows, out].
/// Each output's arithmetic is fixed bit for bit, whatever the number of rows or threads.
/// Throws ShapeError when shapes disagree. x and y do not overlap.
void linear(const Context& ctx, TensorView<const float> x, const Matrix& w,
            const Epilogue& epilogue, TensorView<float> y);

}  // namespace chiasm::kernels
