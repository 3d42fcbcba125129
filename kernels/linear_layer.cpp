#include "kernels/linear_layer.h"

#include <algorithm>

namespace chiasm::kernels {

namespace {

/// One part as float32 rows in their right order.
void widen(const Context& ctx, const TensorEntry& entry, std::int64_t in, float* out) {
  const std::int64_t rows = entry.shape[0];
  if (entry.blocks) {
    const BlockRows part{entry.bytes.data(), *entry.blocks, rows, entry.interleaved};
    const Matrix matrix = Matrix::pack_blocks(ctx, {&part, 1}, in);
    for (std::int64_t r = 0; r < rows; r++) matrix.row(r, out + r * in);
    return;
  }
  for (std::int64_t r = 0; r < rows; r++) {
    const std::int64_t from = interleaved_row(r, entry.interleaved);
    to_floats(entry.bytes.data() + std::size_t(from * in) * size_of(entry.dtype), entry.dtype, in,
              out + r * in);
  }
}

/// Packs tensors [rows, in] one below the other. Quantized blocks stay as they are, unless the
/// tensors mix 4 bits, 8 bits and plain numbers: those are packed in `format`.
Matrix pack_entries(const Context& ctx, std::span<const TensorEntry> entries, std::int64_t in,
                    WeightFormat format, std::span<const float> importance = {}) {
  const TensorEntry& first = entries[0];
  const bool blocks = std::all_of(entries.begin(), entries.end(), [&](const TensorEntry& e) {
    return e.blocks && format_of(*e.blocks) == format_of(first.blocks.value_or(*e.blocks));
  });
  if (blocks) {
    std::vector<BlockRows> parts;
    for (const TensorEntry& e : entries) {
      parts.push_back({e.bytes.data(), *e.blocks, e.shape[0], e.interleaved});
    }
    return Matrix::pack_blocks(ctx, parts, in);
  }
  std::vector<WeightRows> parts;
  const bool plain = std::all_of(entries.begin(), entries.end(), [](const TensorEntry& e) {
    return !e.blocks && e.interleaved == 0;
  });
  if (plain) {
    for (const TensorEntry& e : entries) parts.push_back({e.bytes.data(), e.dtype, e.shape[0]});
    return Matrix::pack(ctx, parts, in, format, importance);
  }
  std::int64_t rows = 0;
  for (const TensorEntry& e : entries) rows += e.shape[0];
  std::vector<float> wide(std::size_t(rows * in));
  float* out = wide.data();
  for (const TensorEntry& e : entries) {
    widen(ctx, e, in, out);
    out += e.shape[0] * in;
  }
  parts.push_back({reinterpret_cast<const std::byte*>(wide.data()), DType::f32, rows});
  return Matrix::pack(ctx, parts, in, format, importance);
}

}  // namespace

LinearLayer::LinearLayer(const Context& ctx, const Weights& weights,
                         std::initializer_list<LinearPart> parts, std::int64_t in, bool bias,
                         WeightFormat format, std::span<const float> importance) {
  std::vector<TensorEntry> entries;
  for (const LinearPart& part : parts) {
    const Weights scope = weights.scope(part.scope);
    const TensorEntry& entry = scope.entry("weight", {part.out, in});
    entries.push_back(entry);
    if (bias) {
      const Tensor values = scope.floats("bias", {part.out});
      const float* data = values.view<float>().data();
      bias_.insert(bias_.end(), data, data + part.out);
    }
  }
  weight_ = pack_entries(ctx, entries, in, format, importance);
  for (const TensorEntry& entry : entries) weights.release(entry);
}

LinearLayer LinearLayer::from_convolution(const Context& ctx, const Weights& weights,
                                          const Shape& kernel, bool bias, WeightFormat format) {
  const TensorEntry& entry = weights.entry("weight", kernel);
  const WeightRows rows{entry.bytes.data(), entry.dtype, kernel[0]};
  LinearLayer layer;
  layer.weight_ = Matrix::pack(ctx, {&rows, 1}, kernel.count() / kernel[0], format);
  weights.release(entry);
  if (bias) {
    const Tensor values = weights.floats("bias", {kernel[0]});
    const float* data = values.view<float>().data();
    layer.bias_.assign(data, data + kernel[0]);
  }
  return layer;
}

void LinearLayer::operator()(const Context& ctx, TensorView<const float> x, TensorView<float> y,
                             Activation activation) const {
  linear(ctx, x, weight_, {bias_.empty() ? nullptr : bias_.data(), activation, false}, y);
}

void LinearLayer::accumulate(const Context& ctx, TensorView<const float> x,
                             TensorView<float> y) const {
  linear(ctx, x, weight_, {bias_.empty() ? nullptr : bias_.data(), Activation::none, true}, y);
}

Matrix load_matrix(const Context& ctx, const Weights& weights, std::string_view name,
                   std::int64_t out, std::int64_t in, WeightFormat format) {
  const TensorEntry& entry = weights.entry(name, {out, in});
  Matrix matrix = pack_entries(ctx, {&entry, 1}, in, format);
  weights.release(entry);
  return matrix;
}

}  // namespace chiasm::kernels
