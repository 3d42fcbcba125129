#include "kernels/linear_layer.h"

#include <algorithm>

#include "kernels/activation.h"
#include "kernels/adapter.h"
#include "kernels/grouped.h"

namespace chiasm::kernels {

namespace {

/// So few rows stream the weights, and an activation amid the stream holds it up (3 % of the
/// product): they are gated when all is there. What they take from the arena is too little to plan.
constexpr std::int64_t kFewGatedRows = 4;

/// A matrix that the file holds packed, looked at where it lies.
Matrix map_entry(const TensorEntry& entry, std::int64_t in, WeightFormat format) {
  if (entry.packed != format_name(format)) {
    fail<ModelError>("packed as ", entry.packed, ", this version wants ", format_name(format),
                     "; quantize the original model again");
  }
  return Matrix::over(entry.bytes, entry.shape[0], in, format);
}

/// The format that a tensor's numbers are kept in: blocks decide for themselves.
WeightFormat kept_as(const TensorEntry& entry, WeightFormat format) {
  return entry.blocks ? format_of(*entry.blocks) : format;
}

/// A matrix of blocks [rows, in] that lie one below the other.
Matrix pack_blocks(const Context& ctx, std::span<const TensorEntry> entries, std::int64_t in) {
  std::vector<BlockRows> parts;
  for (const TensorEntry& e : entries) {
    parts.push_back({e.bytes.data(), *e.blocks, e.shape[0], e.interleaved});
  }
  return Matrix::pack_blocks(ctx, parts, in);
}

/// A matrix of plain numbers [rows, in].
Matrix pack_numbers(const Context& ctx, std::span<const TensorEntry> entries, std::int64_t in,
                    WeightFormat format, std::span<const float> importance) {
  std::vector<WeightRows> parts;
  for (const TensorEntry& e : entries) {
    parts.push_back({e.bytes.data(), e.dtype, e.shape[0], e.interleaved});
  }
  return Matrix::pack(ctx, parts, in, format, importance);
}

/// Packs tensors [rows, in] that lie one below the other: one matrix for each run of tensors that
/// are kept alike. Importances count for plain numbers.
std::vector<Matrix> pack_entries(const Context& ctx, std::span<const TensorEntry> entries,
                                 std::int64_t in, WeightFormat format,
                                 std::span<const float> importance) {
  std::vector<Matrix> matrices;
  while (!entries.empty()) {
    const bool blocks = entries[0].blocks.has_value();
    const WeightFormat kept = kept_as(entries[0], format);
    std::size_t run = 1;
    while (run < entries.size() && entries[run].blocks.has_value() == blocks &&
           kept_as(entries[run], format) == kept) {
      run++;
    }
    const auto alike = entries.first(run);
    matrices.push_back(blocks ? pack_blocks(ctx, alike, in)
                              : pack_numbers(ctx, alike, in, format, importance));
    entries = entries.subspan(run);
  }
  return matrices;
}

/// Makes the matrices of tensors of `weights` that lie one below the other: packs them and lets go
/// of the file's pages, or looks at what the file holds packed under `fused`. More than one only
/// where a file keeps them in different ways.
std::vector<Matrix> make_matrices(const Context& ctx, const Weights& weights,
                                  const std::string& fused, std::span<const std::string> names,
                                  std::span<const Shape> shapes, std::int64_t in,
                                  WeightFormat format, std::span<const float> importance = {}) {
  Shape all = shapes[0];
  if (names.size() > 1) {
    std::int64_t out = 0;
    for (const Shape& shape : shapes) out += shape[0];
    all = Shape{out, in};
  }
  std::vector<Matrix> matrices;
  if (names.size() == 1 || weights.has(fused)) {
    const TensorEntry& entry = weights.entry(fused, all);
    if (!entry.packed.empty()) {
      matrices.push_back(
          in_context(weights.full(fused), [&] { return map_entry(entry, in, format); }));
      return matrices;
    }
  }
  std::vector<TensorEntry> entries;
  for (std::size_t i = 0; i < names.size(); i++) {
    entries.push_back(weights.entry(names[i], shapes[i]));
  }
  matrices = pack_entries(ctx, entries, in, format, importance);
  for (const TensorEntry& entry : entries) weights.release(entry);
  if (matrices.size() == 1) {
    weights.packed(fused, names, format_name(matrices[0].format()), all, matrices[0].data());
  }
  return matrices;
}

/// The matrix of parts that GPTQ or AWQ quantized, or one for each where their groups differ (their
/// sizes, or the order that each brings its inputs into).
std::vector<Matrix> make_grouped(const Context& ctx, const Weights& weights,
                                 std::span<const LinearPart> parts, std::int64_t in) {
  std::vector<GroupedWeight> all;
  for (const LinearPart& part : parts) {
    auto grouped = find_grouped(weights, part.scope, part.out, in);
    if (!grouped) {
      fail<ModelError>(weights.full(part.scope), ": is not quantized, but ",
                       weights.full(parts[0].scope), ", which it is multiplied with, is");
    }
    all.push_back(std::move(*grouped));
  }
  const bool alike = std::ranges::all_of(all, [&](const GroupedWeight& w) {
    return w.group == all[0].group && w.order == all[0].order;
  });
  std::vector<Matrix> matrices;
  for (std::size_t i = 0; i < all.size(); i += alike ? all.size() : 1) {
    matrices.push_back(
        Matrix::pack_grouped(ctx, std::span(all).subspan(i, alike ? all.size() : 1)));
  }
  for (const GroupedWeight& w : all) weights.release(*w.q);
  return matrices;
}

/// What a layer reads of one tensor.
Matrix make_matrix(const Context& ctx, const Weights& weights, const std::string& name,
                   const Shape& shape, std::int64_t in, WeightFormat format) {
  return std::move(make_matrices(ctx, weights, name, {&name, 1}, {&shape, 1}, in, format)[0]);
}

}  // namespace

LinearLayer::LinearLayer(const Context& ctx, const Weights& weights,
                         std::initializer_list<LinearPart> parts, std::int64_t in, bool bias,
                         WeightFormat format, std::span<const float> importance) {
  std::vector<std::string> names;
  std::vector<Shape> shapes;
  std::string fused;  // "q_proj+k_proj+v_proj"
  const auto has = [&](const LinearPart& part, std::string_view name) {
    return weights.has(std::string(part.scope) + std::string(name));
  };
  const bool grouped = parts.size() > 0 && has(*parts.begin(), ".qweight");
  // Quantizers write biases, of zeros, also where the model has none.
  const auto stored = [&](const LinearPart& part) {
    return (bias && part.biased) || (grouped && has(part, ".bias"));
  };
  const bool any_stored = std::ranges::any_of(parts, stored);
  for (const LinearPart& part : parts) {
    const std::string scope(part.scope);
    names.push_back(scope + ".weight");
    shapes.push_back({part.out, in});
    fused += (fused.empty() ? "" : "+") + scope;
    if (stored(part)) {
      read_bias(weights, scope + ".bias", part.out);
    } else if (any_stored) {
      bias_.insert(bias_.end(), std::size_t(part.out), 0.0f);
    }
  }
  layer_ = weights.count_products(names, shapes);
  if (grouped) {
    weights_ = make_grouped(ctx, weights, std::span(parts.begin(), parts.size()), in);
    return;
  }
  weights_ = make_matrices(ctx, weights, fused + ".weight", names, shapes, in, format, importance);
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
  layer.weights_.push_back(
      make_matrix(ctx, weights, name, kernel, kernel.count() / kernel[0], format));
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
  const Shape shape{out, in};
  layer.layer_ = weights.count_products({&source, 1}, {&shape, 1});
  if (weights.has(turned)) {  // of a packed file
    const TensorEntry& entry = weights.entry(turned, {out, in});
    layer.weights_.push_back(
        in_context(weights.full(turned), [&] { return map_entry(entry, in, format); }));
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
  layer.weights_.push_back(Matrix::pack(ctx, {&part, 1}, in, format, importance));
  weights.packed(turned, {&source, 1}, format_name(format), {out, in}, layer.weights_[0].data());
  return layer;
}

void LinearLayer::multiply(const Context& ctx, TensorView<const float> x, Epilogue epilogue,
                           TensorView<float> y) const {
  if (weights_.size() == 1) {
    epilogue.bias = bias_.empty() ? nullptr : bias_.data();
    return linear(ctx, x, weights_[0], epilogue, y);
  }
  std::int64_t first = 0;
  for (const Matrix& w : weights_) {
    epilogue.bias = bias_.empty() ? nullptr : bias_.data() + first;
    linear(ctx, x, w, epilogue, y.slice_cols(first, w.out()));
    first += w.out();
  }
}

void LinearLayer::operator()(const Context& ctx, TensorView<const float> x, TensorView<float> y,
                             Activation activation) const {
  if (!is_adapted(ctx, layer_)) return multiply(ctx, x, {.activation = activation}, y);
  multiply(ctx, x, {}, y);
  add_adapted(ctx, layer_, x, y);
  if (activation != Activation::none) activate(ctx, activation, y);
}

void LinearLayer::gated(const Context& ctx, TensorView<const float> x, Activation activation,
                        Arena& arena, TensorView<float> y) const {
  const bool joined = weights_.size() == 1 && gate_scratch(out() / 2) == 0;
  if (joined && x.rows() > kFewGatedRows && !is_adapted(ctx, layer_)) {
    return multiply(ctx, x, {.activation = activation, .gated = true}, y);
  }
  Arena::Frame frame(arena);
  const auto both = arena.floats({x.rows(), out()}, "gate_up");
  (*this)(ctx, x, both);
  gated_activation(ctx, activation, both, y);
}

void LinearLayer::accumulate(const Context& ctx, TensorView<const float> x,
                             TensorView<float> y) const {
  multiply(ctx, x, {.accumulate = true}, y);
  if (is_adapted(ctx, layer_)) add_adapted(ctx, layer_, x, y);
}

std::int64_t LinearLayer::out() const {
  std::int64_t sum = 0;
  for (const Matrix& w : weights_) sum += w.out();
  return sum;
}

std::size_t LinearLayer::bytes() const {
  std::size_t sum = bias_.size() * sizeof(float);
  for (const Matrix& w : weights_) sum += w.bytes();
  return sum;
}

std::int64_t gate_scratch(std::int64_t inner) { return inner % kGateUnit == 0 ? 0 : 2 * inner; }

Matrix load_matrix(const Context& ctx, const Weights& weights, std::string_view name,
                   std::int64_t out, std::int64_t in, WeightFormat format) {
  return make_matrix(ctx, weights, std::string(name), {out, in}, in, format);
}

}  // namespace chiasm::kernels
