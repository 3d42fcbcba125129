#include "kernels/linear_layer.h"

#include <algorithm>

#include "kernels/activation.h"

namespace chiasm::kernels {

namespace {

/// So few rows stream the weights, and an activation amid the stream holds it up (3 % of the
/// product): they are gated when all is there. What they take from the arena is too little to plan.
constexpr std::int64_t kFewGatedRows = 4;

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

/// A matrix that the file holds packed, looked at where it lies.
Matrix map_entry(const TensorEntry& entry, std::int64_t in, WeightFormat format) {
  if (entry.packed != format_name(format)) {
    fail<ModelError>("packed as ", entry.packed, ", this version wants ", format_name(format),
                     "; quantize the original model again");
  }
  return Matrix::over(entry.bytes, entry.shape[0], in, format);
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

/// Makes one matrix of tensors of `weights` that lie one below the other: packs them and lets go of
/// the file's pages, or looks at what the file holds packed under `fused`.
Matrix make_matrix(const Context& ctx, const Weights& weights, const std::string& fused,
                   std::span<const std::string> names, std::span<const Shape> shapes,
                   std::int64_t in, WeightFormat format, std::span<const float> importance = {}) {
  Shape all = shapes[0];
  if (names.size() > 1) {
    std::int64_t out = 0;
    for (const Shape& shape : shapes) out += shape[0];
    all = Shape{out, in};
  }
  if (names.size() == 1 || weights.has(fused)) {
    const TensorEntry& entry = weights.entry(fused, all);
    if (!entry.packed.empty()) {
      return in_context(weights.full(fused), [&] { return map_entry(entry, in, format); });
    }
  }
  std::vector<TensorEntry> entries;
  for (std::size_t i = 0; i < names.size(); i++) {
    entries.push_back(weights.entry(names[i], shapes[i]));
  }
  Matrix matrix = pack_entries(ctx, entries, in, format, importance);
  for (const TensorEntry& entry : entries) weights.release(entry);
  weights.packed(fused, names, format_name(matrix.format()), all, matrix.data());
  return matrix;
}

}  // namespace

LinearLayer::LinearLayer(const Context& ctx, const Weights& weights,
                         std::initializer_list<LinearPart> parts, std::int64_t in, bool bias,
                         WeightFormat format, std::span<const float> importance) {
  std::vector<std::string> names;
  std::vector<Shape> shapes;
  std::string fused;  // "q_proj+k_proj+v_proj"
  for (const LinearPart& part : parts) {
    const std::string scope(part.scope);
    names.push_back(scope + ".weight");
    shapes.push_back({part.out, in});
    fused += (fused.empty() ? "" : "+") + scope;
    if (bias && !part.biased) {
      bias_.insert(bias_.end(), std::size_t(part.out), 0.0f);
    } else if (bias) {
      read_bias(weights, scope + ".bias", part.out);
    }
  }
  weight_ = make_matrix(ctx, weights, fused + ".weight", names, shapes, in, format, importance);
}

/// Puts the bias `name` [out] behind what is there.
void LinearLayer::read_bias(const Weights& weights, std::string_view name, std::int64_t out) {
  const Tensor values = weights.floats(name, {out});
  const float* data = values.view<float>().data();
  bias_.insert(bias_.end(), data, data + out);
}

LinearLayer LinearLayer::from_convolution(const Context& ctx, const Weights& weights,
                                          const Shape& kernel, bool bias, WeightFormat format) {
  const std::string name = "weight";
  LinearLayer layer;
  layer.weight_ =
      make_matrix(ctx, weights, name, {&name, 1}, {&kernel, 1}, kernel.count() / kernel[0], format);
  if (bias) layer.read_bias(weights, "bias", kernel[0]);
  return layer;
}

LinearLayer LinearLayer::from_transposed(const Context& ctx, const Weights& weights,
                                         std::string_view name, std::int64_t in, std::int64_t out,
                                         WeightFormat format, std::string_view bias,
                                         std::span<const float> importance) {
  LinearLayer layer;
  if (!bias.empty()) layer.read_bias(weights, bias, out);
  const std::string source(name), turned = source + ".transposed";
  if (weights.has(turned)) {  // of a packed file
    const TensorEntry& entry = weights.entry(turned, {out, in});
    layer.weight_ = in_context(weights.full(turned), [&] { return map_entry(entry, in, format); });
    return layer;
  }
  const Tensor values = weights.floats(source, {in, out});
  weights.release(weights.entry(source, {in, out}));
  const auto from = values.view<float>();
  std::vector<float> rows(std::size_t(in * out));
  for (std::int64_t i = 0; i < in; i++) {
    for (std::int64_t o = 0; o < out; o++) rows[std::size_t(o * in + i)] = from.row(i)[o];
  }
  const WeightRows part{reinterpret_cast<const std::byte*>(rows.data()), DType::f32, out};
  layer.weight_ = Matrix::pack(ctx, {&part, 1}, in, format, importance);
  weights.packed(turned, {&source, 1}, format_name(format), {out, in}, layer.weight_.data());
  return layer;
}

void LinearLayer::operator()(const Context& ctx, TensorView<const float> x, TensorView<float> y,
                             Activation activation) const {
  linear(ctx, x, weight_, {bias_.empty() ? nullptr : bias_.data(), activation, false}, y);
}

void LinearLayer::gated(const Context& ctx, TensorView<const float> x, Activation activation,
                        Arena& arena, TensorView<float> y) const {
  const float* const bias = bias_.empty() ? nullptr : bias_.data();
  if (gate_scratch(out() / 2) == 0 && x.rows() > kFewGatedRows) {
    return linear(ctx, x, weight_, {bias, activation, false, true}, y);
  }
  Arena::Frame frame(arena);
  const auto both = arena.floats({x.rows(), out()}, "gate_up");
  (*this)(ctx, x, both);
  gated_activation(ctx, activation, both, y);
}

void LinearLayer::accumulate(const Context& ctx, TensorView<const float> x,
                             TensorView<float> y) const {
  linear(ctx, x, weight_, {bias_.empty() ? nullptr : bias_.data(), Activation::none, true}, y);
}

std::int64_t gate_scratch(std::int64_t inner) { return inner % kGateUnit == 0 ? 0 : 2 * inner; }

Matrix load_matrix(const Context& ctx, const Weights& weights, std::string_view name,
                   std::int64_t out, std::int64_t in, WeightFormat format) {
  const std::string names[] = {std::string(name)};
  const Shape shapes[] = {{out, in}};
  return make_matrix(ctx, weights, names[0], names, shapes, in, format);
}

}  // namespace chiasm::kernels
