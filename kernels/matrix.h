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
///   q8:   8 bits in groups of 32 inputs, w = scale * q, scale float16, q = -128..127
///   q8_rows: 8 bits, w = scale * q with one float32 scale for each output, q = -127..127: for
///         matrices that many rows pass through, since integers add up over 128 inputs
///   q4:   4 bits in groups of 32 inputs, w = scale * q + min, scale and min float16, q = 0..15
///   q5_1, q2_k, q3_k, q4_k, q5_k, q6_k:  GGUF's blocks of these names (BlockType), kept about as
///         small as in the file and widened on the way; float32 arithmetic
///   q4_32, q4_128: the same of GPTQ and AWQ: 4 bits in groups of so many inputs, w = scale * q -
///         minimum with both float32
/// q8, q8_rows and q4 narrow activations to 8 bits too, with a float32 scale for each row and
/// group of 32, for q8_rows of 128 (on the reference path they stay float32), multiply integers
/// exactly, and add the groups in float32.
enum class WeightFormat {
  f32,
  bf16,
  f16,
  q8,
  q8_rows,
  q4,
  q5_1,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  q4_32,
  q4_128
};

/// Whether weights of the format become float32 on their way into a product.
constexpr bool is_widened(WeightFormat format) { return format >= WeightFormat::q5_1; }

/// "f32", "bf16", "f16", "q8", "q8_rows", "q4", ...
std::string_view format_name(WeightFormat format);
/// The name of the packed bytes' layout, the same for every instruction set. Another name, other
/// bytes.
std::string_view packed_layout();

/// Row of the file that becomes row `row` under `interleaved` (0: the same).
constexpr std::int64_t interleaved_row(std::int64_t row, std::int64_t interleaved) {
  if (interleaved == 0) return row;
  const std::int64_t inside = row % interleaved, half = interleaved / 2;
  return row - inside + inside % half * 2 + inside / half;
}

/// Rows of a weight as they lie in a file: row-major [rows, in], dtype f32, bf16 or f16.
struct WeightRows {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  /// Above 0: the rows of each `interleaved` (a head) lie as 0, h, 1, h + 1, ... with h half of it,
  /// as GGUF's llama keeps q and k; they are packed as 0, 1, 2, ...
  std::int64_t interleaved = 0;
};

struct GroupedWeight;  // grouped.h

/// The format that holds such blocks without loss.
WeightFormat format_of(BlockType type);

/// Rows of quantized blocks as they lie in a file: [rows][in / block_values(type)] blocks.
struct BlockRows {
  const std::byte* data = nullptr;
  BlockType type = BlockType::q4_0;
  std::int64_t rows = 0;
  std::int64_t interleaved = 0;  // as for WeightRows
};

/// An opaque packed weight [out, in], as torch.nn.Linear stores it. Immutable, shareable,
/// move-only.
class Matrix {
 public:
  Matrix();
  ~Matrix();
  Matrix(Matrix&&) noexcept;
  Matrix& operator=(Matrix&&) noexcept;

  /// Packs the parts one below the other (q, k, v into one product). Threaded. The quantized
  /// formats choose each group's scale (and minimum) by its extremes; q4 also tries narrower ranges
  /// and keeps the one of least squared error, each input's error counting by its `importance`
  /// ([in], finite and at least 0; empty: all alike). ModelError for weights that float16 scales
  /// cannot hold.
  static Matrix pack(const Context& ctx, std::span<const WeightRows> parts, std::int64_t in,
                     WeightFormat format, std::span<const float> importance = {});

  /// Packs blocks of a file without requantizing. All parts must go into one format; `in` is a
  /// multiple of their length.
  static Matrix pack_blocks(const Context& ctx, std::span<const BlockRows> parts, std::int64_t in);

  /// Packs weights of GPTQ or AWQ, value for value, that lie one below the other. All have one size
  /// of groups and one order of inputs, which x is brought into on its way.
  static Matrix pack_grouped(const Context& ctx, std::span<const GroupedWeight> parts);

  /// Looks at packed bytes of layout packed_layout() where they are, padded to a multiple of 64
  /// bytes; they must outlive the matrix. ModelError when they do not fit or are not aligned to 64.
  static Matrix over(std::span<const std::byte> bytes, std::int64_t out, std::int64_t in,
                     WeightFormat format);
  /// The packed bytes.
  std::span<const std::byte> data() const;

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

/// What happens to a product p = x W^T + bias before it is stored: y = act(p), or y += that, or, of
/// a gated product, y[r, j] = act(p[r, j]) * p[r, out / 2 + j]: Shazeer, 2020, arXiv:2002.05202.
struct Epilogue {
  const float* bias = nullptr;  // [out]
  Activation activation = Activation::none;
  bool accumulate = false;  // add to y (a residual stream) instead of replacing it
  bool gated = false;       // without `accumulate`; out / 2 is a multiple of kGateUnit
};
inline constexpr std::int64_t kGateUnit = 32;

/// y[r, :] = epilogue(x[r, :] * W^T).  x: [rows, in] float32 (any row stride), y: [rows, out], or
/// [rows, out / 2] of a gated product.
/// Each output's arithmetic is fixed bit for bit, whatever the number of rows or threads.
/// Throws ShapeError when shapes disagree. x and y do not overlap.
void linear(const Context& ctx, TensorView<const float> x, const Matrix& w,
            const Epilogue& epilogue, TensorView<float> y);

}  // namespace chiasm::kernels
