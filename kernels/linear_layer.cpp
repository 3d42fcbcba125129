#include "kernels/linear_layer.h"

namespace chiasm::kernels {

LinearLayer::LinearLayer(const Context& ctx, const Weights& weights,
                         std::initializer_list<LinearPart> parts, std::int64_t in, bool bias,
                         WeightFormat format) {
  std::vector<WeightRows> rows;
  std::vector<TensorEntry> entries;
  for (const LinearPart& part : parts) {
    const Weights scope = weights.scope(part.scope);
    const TensorEntry& entry = scope.entry("weight", {part.out, in});
    rows.push_back({entry.bytes.data(), entry.dtype, part.out});
    entries.push_back(entry);
    if (bias) {
      const Tensor values = scope.floats("bias", {part.out});
      const float* data = values.view<float>().data();
      bias_.insert(bias_.end(), data, data + part.out);
    }
  }
  weight_ = Matrix::pack(ctx, rows, in, format);
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
  const WeightRows rows{entry.bytes.data(), entry.dtype, out};
  Matrix matrix = Matrix::pack(ctx, {&rows, 1}, in, format);
  weights.release(entry);
  return matrix;
}

}  // namespace chiasm::kernels
