#include "vision/transformer.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/rope.h"

namespace chiasm::vision {

void AttentionPattern::add(std::int64_t rows, std::int64_t seen) {
  const auto begin = std::int64_t(first_key.size());
  sequences.push_back({begin, rows, seen, begin, nullptr});
  first_key.insert(first_key.end(), std::size_t(rows), 0);
  last_key.insert(last_key.end(), std::size_t(rows), std::int32_t(seen));
}

Transformer::Transformer(const Context& ctx, const TransformerConfig& c,
                         const TransformerNames& names, const Weights& layers,
                         kernels::WeightFormat format)
    : config_(c),
      bf16_products_(format != kernels::WeightFormat::f32 && format != kernels::WeightFormat::f16),
      int8_scores_(format == kernels::WeightFormat::q8_rows) {
  const std::int64_t dim = c.hidden_size, inner = c.intermediate_size;
  const kernels::NormKind rms{kernels::NormKind::rms, c.norm.eps};
  for (std::int64_t i = 0; i < c.layers; i++) {
    const Weights w = layers.scope(std::to_string(i));
    const Weights attention = names.attention.empty() ? w : w.scope(names.attention);
    const Weights mlp = names.mlp.empty() ? w : w.scope(names.mlp);
    Layer layer;
    layer.norm1 = {w, names.norm1, dim, c.norm};
    layer.norm2 = {w, names.norm2, dim, c.norm};
    if (names.qkv.empty()) {
      layer.qkv = {ctx, attention,  {{names.q, dim}, {names.k, dim}, {names.v, dim}},
                   dim, c.qkv_bias, format};
    } else {
      layer.qkv = {ctx, attention, {{names.qkv, 3 * dim}}, dim, c.qkv_bias, format};
    }
    layer.out = {ctx, attention, {{names.out, dim}}, dim, c.out_bias, format};
    if (c.gated) {
      layer.up = {ctx, mlp, {{names.gate, inner}, {names.up, inner}}, dim, c.mlp_bias, format};
    } else {
      layer.up = {ctx, mlp, {{names.up, inner}}, dim, c.mlp_bias, format};
    }
    layer.down = {ctx, mlp, {{names.down, dim}}, inner, c.mlp_bias, format};
    if (c.qk_norm) {
      layer.q_norm = {attention, names.q_norm, dim, rms};
      layer.k_norm = {attention, names.k_norm, dim, rms};
    }
    if (c.layer_scale) {
      layer.scale1 = w.floats(names.scale1, {dim});
      layer.scale2 = w.floats(names.scale2, {dim});
    }
    layers_.push_back(std::move(layer));
  }
}

std::size_t Transformer::bytes() const {
  std::size_t total = 0;
  for (const Layer& l : layers_) {
    total += l.qkv.bytes() + l.out.bytes() + l.up.bytes() + l.down.bytes() + l.norm1.bytes() +
             l.norm2.bytes() + l.q_norm.bytes() + l.k_norm.bytes() + l.scale1.bytes() +
             l.scale2.bytes();
  }
  return total;
}

std::int64_t Transformer::scratch_per_row() const {
  const auto& c = config_;
  const std::int64_t hidden =
      c.intermediate_size + (c.gated ? kernels::gate_scratch(c.intermediate_size) : 0);
  const std::int64_t scaled = c.layer_scale ? c.hidden_size : 0;
  return c.hidden_size + std::max(3 * c.hidden_size, hidden) + scaled;
}

std::int64_t Transformer::macs_per_row(std::int64_t rows) const {
  const auto& c = config_;
  const std::int64_t mlp = (c.gated ? 3 : 2) * c.intermediate_size;
  return c.layers * (c.hidden_size * (4 * c.hidden_size + mlp) + 2 * rows * c.hidden_size);
}

void Transformer::join(const Context& ctx, const kernels::LinearLayer& layer, const Tensor& scale,
                       TensorView<const float> from, Arena& arena, TensorView<float> x) const {
  if (!config_.layer_scale) {
    layer.accumulate(ctx, from, x);
    return;
  }
  Arena::Frame frame(arena);
  const auto product = arena.floats({x.rows(), x.cols()}, "scaled");
  layer(ctx, from, product);
  kernels::add_scaled(ctx, product, scale.view<float>(), x);
}

void Transformer::attend(const Context& ctx, const Layer& layer, const AttentionPattern& pattern,
                         const TransformerInput& input, Arena& arena, TensorView<float> x) const {
  const std::int64_t rows = x.rows(), dim = config_.hidden_size, heads = config_.heads;
  const std::int64_t head_dim = dim / heads;
  Arena::Frame frame(arena);
  const TensorView<float> normed = arena.floats({rows, dim}, "normed");
  const TensorView<float> qkv = arena.floats({rows, 3 * dim}, "qkv");
  layer.norm1(ctx, x, normed);
  layer.qkv(ctx, normed, qkv);
  const auto q = qkv.slice_cols(0, dim), k = qkv.slice_cols(dim, dim);
  if (config_.qk_norm) {
    layer.q_norm(ctx, q, q);
    layer.k_norm(ctx, k, k);
  }
  if (input.cosine.data() != nullptr) {
    kernels::rotate_half(ctx, q, heads, head_dim, input.cosine, input.sine);
    kernels::rotate_half(ctx, k, heads, head_dim, input.cosine, input.sine);
  }
  kernels::KeyValues kv;
  kv.k = k;
  kv.v = qkv.slice_cols(2 * dim, dim);
  const float scale = 1.0f / std::sqrt(float(head_dim));
  kernels::attention(ctx, {heads, heads, head_dim, scale, 0, bf16_products_, int8_scores_}, q, kv,
                     pattern.sequences, pattern.first_key, pattern.last_key, normed);
  join(ctx, layer.out, layer.scale1, normed, arena, x);
}

void Transformer::feed_forward(const Context& ctx, const Layer& layer, Arena& arena,
                               TensorView<float> x) const {
  const std::int64_t rows = x.rows(), inner = config_.intermediate_size;
  Arena::Frame frame(arena);
  const TensorView<float> normed = arena.floats({rows, config_.hidden_size}, "normed");
  const TensorView<float> hidden = arena.floats({rows, inner}, "hidden");
  layer.norm2(ctx, x, normed);
  if (config_.gated) {
    layer.up.gated(ctx, normed, config_.activation, arena, hidden);
  } else {
    layer.up(ctx, normed, hidden, config_.activation);
  }
  join(ctx, layer.down, layer.scale2, hidden, arena, x);
}

void Transformer::forward(const Context& ctx, const TransformerInput& input, Arena& arena,
                          TensorView<float> x) const {
  for (std::size_t i = 0; i < layers_.size(); i++) {
    ctx.poll();
    attend(ctx, layers_[i], input.pattern(std::int64_t(i)), input, arena, x);
    feed_forward(ctx, layers_[i], arena, x);
    if (ctx.tap != nullptr) ctx.show("vision.layers." + std::to_string(i), x);
    if (input.after_layer) input.after_layer(std::int64_t(i), x);
  }
}

}  // namespace chiasm::vision
