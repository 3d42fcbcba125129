#include "language/text_encoder.h"

#include <cmath>
#include <string>

#include "core/error.h"
#include "kernels/attention.h"
#include "kernels/embed.h"
#include "kernels/relative_attention.h"

namespace chiasm::language {

void TextEncoderConfig::check(const std::string& where) const {
  // Upper bounds far over any published model keep products of sizes from overflowing.
  const auto within = [](std::int64_t size, std::int64_t most) { return size > 0 && size <= most; };
  const bool sane =
      within(hidden_size, 1 << 16) && within(heads, hidden_size) && hidden_size % heads == 0 &&
      hidden_size / heads <= 256 && within(layers, 1 << 12) && within(intermediate_size, 1 << 20) &&
      within(vocab_size, 1 << 24) && within(positions, 1 << 20) && first_position >= 0 &&
      first_position < positions && types >= 0 && types <= 1 << 10 &&
      (distance_buckets == 0 ||
       (within(distance_buckets, 1 << 10) && distance_buckets >= 4 && distance_buckets % 2 == 0));
  if (!sane) {
    fail<ModelError>(where, ": these sizes do not describe a text encoder: hidden_size ",
                     hidden_size, ", intermediate_size ", intermediate_size, ", num_hidden_layers ",
                     layers, ", num_attention_heads ", heads, ", vocab_size ", vocab_size,
                     ", max_position_embeddings ", positions);
  }
}

TextEncoder::TextEncoder(const Context& ctx, const TextEncoderConfig& c, const Weights& w,
                         const DecoderFormats& formats)
    : config_(c),
      bf16_products_(formats.attention != kernels::WeightFormat::f32 &&
                     formats.attention != kernels::WeightFormat::f16),
      words_(kernels::load_matrix(ctx, w, c.names.words, c.vocab_size, c.hidden_size,
                                  formats.embedding)),
      positions_(w.floats(c.names.positions, {c.positions, c.hidden_size})) {
  const std::int64_t dim = c.hidden_size, inner = c.intermediate_size;
  const TextEncoderNames& n = c.names;
  if (c.types > 0) types_ = w.floats(n.types, {c.types, dim});
  if (c.distance_buckets > 0) distances_ = w.floats(n.distances, {c.distance_buckets, c.heads});
  if (!n.embedding_norm.empty()) embedding_norm_ = {w, n.embedding_norm, dim, c.norm};
  if (!n.final_norm.empty()) final_norm_ = {w, n.final_norm, dim, c.norm};
  for (std::int64_t i = 0; i < c.layers; i++) {
    const Weights l = w.scope(n.layers, i);
    Layer layer;
    layer.norm1 = {l, n.norm1, dim, c.norm};
    layer.norm2 = {l, n.norm2, dim, c.norm};
    layer.qkv = {ctx, l, {{n.q, dim}, {n.k, dim}, {n.v, dim}}, dim, true, formats.attention};
    layer.out = {ctx, l, {{n.out, dim}}, dim, true, formats.attention};
    layer.up = {ctx, l, {{n.up, inner}}, dim, true, formats.gate_up};
    layer.down = {ctx, l, {{n.down, dim}}, inner, true, formats.down};
    layers_.push_back(std::move(layer));
  }
}

std::size_t TextEncoder::bytes() const {
  std::size_t total = words_.bytes() + positions_.bytes() + types_.bytes() + distances_.bytes() +
                      embedding_norm_.bytes() + final_norm_.bytes();
  for (const Layer& l : layers_) {
    total += l.norm1.bytes() + l.norm2.bytes() + l.qkv.bytes() + l.out.bytes() + l.up.bytes() +
             l.down.bytes();
  }
  return total;
}

/// Where each text lies and which keys its rows see.
struct TextEncoder::Pattern {
  std::vector<kernels::AttentionSequence> sequences;
  std::vector<std::int32_t> first_key, last_key;  // [rows]

  void add(std::int64_t rows, bool causal) {
    const auto begin = std::int64_t(first_key.size());
    sequences.push_back({begin, rows, rows, begin, nullptr});
    first_key.insert(first_key.end(), std::size_t(rows), 0);
    for (std::int64_t i = 0; i < rows; i++) last_key.push_back(std::int32_t(causal ? i + 1 : rows));
  }
};

// x: [tokens of all texts, hidden].
void TextEncoder::embed(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
                        TensorView<float> x) const {
  std::vector<std::int32_t> ids, places;
  for (const auto& text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    for (std::size_t i = 0; i < text.size(); i++) {
      places.push_back(std::int32_t(config_.first_position) + std::int32_t(i));
    }
  }
  kernels::embed(ctx, words_, ids, x);
  if (config_.types > 0) {
    const std::vector<std::int32_t> first(ids.size(), 0);
    kernels::add_rows(ctx, types_.view<float>(), first, x);
  }
  kernels::add_rows(ctx, positions_.view<float>(), places, x);
  if (!config_.names.embedding_norm.empty()) embedding_norm_(ctx, x, x);
}

void TextEncoder::mix(const Context& ctx, const Pattern& pattern, TensorView<const float> qkv,
                      TensorView<float> mixed) const {
  const std::int64_t dim = config_.hidden_size, heads = config_.heads, head_dim = dim / heads;
  const float scale = 1.0f / std::sqrt(float(head_dim));
  if (config_.distance_buckets > 0) {
    constexpr std::int64_t kFarthest = 128;  // what the reference gives its only buckets
    std::vector<std::int64_t> counts;
    for (const auto& sequence : pattern.sequences) counts.push_back(sequence.q_count);
    return kernels::relative_attention(ctx, heads, scale, qkv, counts, distances_.view<float>(),
                                       kFarthest, mixed);
  }
  kernels::KeyValues kv;
  kv.k = qkv.slice_cols(dim, dim);
  kv.v = qkv.slice_cols(2 * dim, dim);
  kernels::attention(ctx, {heads, heads, head_dim, scale, 0, bf16_products_},
                     qkv.slice_cols(0, dim), kv, pattern.sequences, pattern.first_key,
                     pattern.last_key, mixed);
}

void TextEncoder::attend(const Context& ctx, const Layer& layer, const Pattern& pattern,
                         Arena& arena, TensorView<float> x) const {
  const std::int64_t rows = x.rows(), dim = config_.hidden_size;
  Arena::Frame frame(arena);
  const auto mixed = arena.floats({rows, dim}, "mixed");
  const auto qkv = arena.floats({rows, 3 * dim}, "qkv");
  if (config_.post_norm) {
    layer.qkv(ctx, x, qkv);
  } else {
    layer.norm1(ctx, x, mixed);
    layer.qkv(ctx, mixed, qkv);
  }
  mix(ctx, pattern, qkv, mixed);
  layer.out.accumulate(ctx, mixed, x);
  if (config_.post_norm) layer.norm1(ctx, x, x);
}

void TextEncoder::feed_forward(const Context& ctx, const Layer& layer, Arena& arena,
                               TensorView<float> x) const {
  const std::int64_t rows = x.rows();
  Arena::Frame frame(arena);
  const auto hidden = arena.floats({rows, config_.intermediate_size}, "hidden");
  if (config_.post_norm) {
    layer.up(ctx, x, hidden, config_.activation);
  } else {
    const auto normed = arena.floats({rows, config_.hidden_size}, "normed");
    layer.norm2(ctx, x, normed);
    layer.up(ctx, normed, hidden, config_.activation);
  }
  layer.down.accumulate(ctx, hidden, x);
  if (config_.post_norm) layer.norm2(ctx, x, x);
}

void TextEncoder::forward(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
                          Arena& arena, TensorView<float> out) const {
  Pattern pattern;
  for (std::size_t i = 0; i < texts.size(); i++) {
    const auto rows = std::int64_t(texts[i].size());
    if (rows < 1 || rows > config_.max_tokens()) {
      fail<ShapeError>("text ", i, " of ", rows, " tokens, expected 1 to ", config_.max_tokens());
    }
    pattern.add(rows, config_.causal);
  }
  out.expect({std::int64_t(pattern.first_key.size()), config_.hidden_size});
  embed(ctx, texts, out);
  ctx.show("text.embed", out);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    ctx.poll();
    attend(ctx, layers_[i], pattern, arena, out);
    feed_forward(ctx, layers_[i], arena, out);
    if (ctx.tap != nullptr) ctx.show("text.layers." + std::to_string(i), out);
  }
  if (!config_.names.final_norm.empty()) final_norm_(ctx, out, out);
  ctx.show("text.out", out);
}

}  // namespace chiasm::language
