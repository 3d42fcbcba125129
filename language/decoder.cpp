#include "language/decoder.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "kernels/embed.h"
#include "kernels/norm.h"
#include "kernels/rope.h"

namespace chiasm::language {

namespace {

/// Mean square of each column; empty (nothing known) unless all are finite. x: [rows, cols].
std::vector<float> mean_squares(TensorView<const float> x) {
  std::vector<double> sums(std::size_t(x.cols()), 0);
  for (std::int64_t r = 0; r < x.rows(); r++) {
    for (std::int64_t k = 0; k < x.cols(); k++) {
      sums[std::size_t(k)] += double(x.row(r)[k]) * double(x.row(r)[k]);
    }
  }
  std::vector<float> means;
  for (const double sum : sums) means.push_back(float(sum / double(x.rows())));
  if (!std::ranges::all_of(means, [](float m) { return std::isfinite(m); })) return {};
  return means;
}

}  // namespace

DecoderConfig DecoderConfig::from_json(const Json& config) {
  // Older folders leave out what equals transformers' LlamaConfig, hence the defaults; a wrong
  // guess cannot pass, since every tensor's shape is checked.
  DecoderConfig c{
      .hidden_size = config.integer("hidden_size", 4096),
      .intermediate_size = config.integer("intermediate_size", 11008),
      .layers = config.integer("num_hidden_layers", 32),
      .heads = config.integer("num_attention_heads", 32),
      .kv_heads = 0,
      .head_dim = 0,
      .vocab_size = config.integer("vocab_size", 32000),
      .max_positions = config.integer("max_position_embeddings", 2048),
      .rms_norm_eps = float(config.number("rms_norm_eps", 1e-6)),
      .attention_bias = config.boolean("attention_bias", false),
      .mlp_bias = config.boolean("mlp_bias", false),
      .activation = kernels::activation_from_name(config.str("hidden_act", "silu")),
      .rope = {},
  };
  c.kv_heads = config.integer("num_key_value_heads", c.heads);
  c.head_dim = config.integer("head_dim", c.heads > 0 ? c.hidden_size / c.heads : 0);
  // Upper bounds far over any published model keep products of sizes from overflowing.
  const auto within = [](std::int64_t size, std::int64_t most) { return size > 0 && size <= most; };
  const bool sane = within(c.hidden_size, 1 << 20) && within(c.intermediate_size, 1 << 22) &&
                    within(c.layers, 1 << 12) && within(c.heads, 1 << 12) &&
                    within(c.kv_heads, c.heads) && c.heads % c.kv_heads == 0 &&
                    within(c.head_dim, 256) && c.head_dim % 2 == 0 &&
                    within(c.vocab_size, 1 << 24) && within(c.max_positions, 1 << 24);
  if (!sane) {
    fail<ModelError>(config.where(), ": these sizes do not describe a decoder: hidden_size ",
                     c.hidden_size, ", intermediate_size ", c.intermediate_size,
                     ", num_hidden_layers ", c.layers, ", num_attention_heads ", c.heads,
                     ", num_key_value_heads ", c.kv_heads, ", head_dim ", c.head_dim,
                     ", vocab_size ", c.vocab_size, ", max_position_embeddings ", c.max_positions);
  }
  c.rope = rope_frequencies(config, c.head_dim);
  return c;
}

std::size_t Decoder::bytes() const {
  std::size_t total = embedding_.bytes() + norm_.bytes();
  if (!tied_) total += head_.bytes();
  for (const Layer& layer : layers_) {
    total += layer.qkv.bytes() + layer.out.bytes() + layer.gate_up.bytes() + layer.down.bytes() +
             layer.input_norm.bytes() + layer.post_attention_norm.bytes();
  }
  return total;
}

void Decoder::embed(const Context& ctx, std::span<const std::int32_t> ids,
                    TensorView<float> x) const {
  kernels::embed(ctx, embedding_, ids, x);
}

void Decoder::logits(const Context& ctx, TensorView<const float> features,
                     TensorView<float> out) const {
  kernels::linear(ctx, features, tied_ ? embedding_ : head_, {}, out);
  ctx.show("logits", out);
}

/// Where the rows of a batch belong.
struct Decoder::Batch {
  std::vector<kernels::AttentionSequence> sequences;
  std::vector<std::int32_t> first_key, last_key;
  std::vector<std::int64_t> slot;
  TensorView<float> cosine, sine;  // [rows, rotary dimensions / 2]
};

Decoder::Batch Decoder::lay_out(const Context& ctx, std::span<const BatchPart> parts,
                                Arena& arena) const {
  Batch batch;
  std::vector<std::int32_t> position;
  std::int64_t begin = 0;
  for (const BatchPart& part : parts) {
    SequenceState& state = *part.state;
    const std::int64_t past = state.length();
    state.reserve(past + part.rows);
    batch.sequences.push_back({begin, part.rows, past + part.rows, 0, state.pages().data()});
    for (std::int64_t i = past; i < past + part.rows; i++) {
      position.push_back(std::int32_t(i));
      batch.first_key.push_back(0);
      batch.last_key.push_back(std::int32_t(i + 1));
      batch.slot.push_back(state.slot(i));
    }
    begin += part.rows;
  }
  const auto half = std::int64_t(config_.rope.inv_freq.size());
  batch.cosine = arena.floats({begin, half}, "cosine");
  batch.sine = arena.floats({begin, half}, "sine");
  kernels::rotary_table(ctx, position, config_.rope.inv_freq, config_.rope.attention_scaling,
                        batch.cosine, batch.sine);
  return batch;
}

/// The tokens that flow through the layers while these are made. The rows depend on the model
/// alone, so that a model packs alike wherever the same instructions run it.
struct Decoder::Calibration {
  static constexpr std::int64_t kRows = 256;
  static constexpr std::uint64_t kStride = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio

  Calibration(const Context& ctx, const Decoder& made_of)
      : decoder(made_of),
        rows(std::min(kRows, made_of.config_.max_positions)),
        pages(made_of.kv_shape(DType::f32),
              (rows + kernels::kPageTokens - 1) / kernels::kPageTokens),
        state(pages) {
    const BatchPart part{&state, rows};
    batch = decoder.lay_out(ctx, {&part, 1}, arena);
    x = arena.floats({rows, decoder.config_.hidden_size}, "calibration");
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 1; i <= rows; i++) {
      // The upper half of the product, spread over the vocabulary.
      const std::uint64_t spread = (std::uint64_t(i) * kStride) >> 32;
      ids.push_back(std::int32_t(spread * std::uint64_t(decoder.config_.vocab_size) >> 32));
    }
    decoder.embed(ctx, ids, x);
  }

  void attend(const Context& ctx, const Layer& layer, std::int64_t index) {
    decoder.attend(ctx, layer, index, pages, batch, arena, x);
  }

  const Decoder& decoder;
  std::int64_t rows;
  Arena arena;
  KvPages pages;
  SequenceState state;
  Batch batch;
  TensorView<float> x;  // [rows, hidden], the residual stream so far
};

/// The MLP of a layer; with `calibration`, each matrix by what flows into it. As feed_forward.
void Decoder::make_mlp(const Context& ctx, const Weights& mlp, kernels::WeightFormat gate_up_format,
                       kernels::WeightFormat down_format, Calibration* calibration,
                       Layer& layer) const {
  const auto& c = config_;
  const std::int64_t inner = c.intermediate_size;
  const auto gate_up = [&](std::span<const float> importance) {
    layer.gate_up = {ctx,           mlp,        {{"gate_proj", inner}, {"up_proj", inner}},
                     c.hidden_size, c.mlp_bias, gate_up_format,
                     importance};
  };
  const auto down = [&](std::span<const float> importance) {
    layer.down = {ctx,         mlp,       {{"down_proj", c.hidden_size}}, inner, c.mlp_bias,
                  down_format, importance};
  };
  if (calibration == nullptr) {
    gate_up({});
    down({});
    return;
  }
  const TensorView<float> x = calibration->x;
  Arena& arena = calibration->arena;
  Arena::Frame frame(arena);
  const auto normed = arena.floats({x.rows(), c.hidden_size}, "normed");
  const auto both = arena.floats({x.rows(), 2 * inner}, "gate_up");
  const auto hidden = arena.floats({x.rows(), inner}, "hidden");
  kernels::rms_norm(ctx, x, layer.post_attention_norm.view<float>(), c.rms_norm_eps, normed);
  gate_up(mean_squares(normed));
  layer.gate_up(ctx, normed, both);
  kernels::gated_activation(ctx, c.activation, both, hidden);
  down(mean_squares(hidden));
  layer.down.accumulate(ctx, hidden, x);
}

Decoder::Decoder(const Context& ctx, const DecoderConfig& c, const Weights& w, const Weights& head,
                 bool tied, const DecoderFormats& formats)
    : config_(c),
      embedding_(kernels::load_matrix(ctx, w, "embed_tokens.weight", c.vocab_size, c.hidden_size,
                                      formats.embedding)),
      tied_(tied),
      norm_(w.floats("norm.weight", {c.hidden_size})) {
  if (!tied) {
    head_ = kernels::load_matrix(ctx, head, "lm_head.weight", c.vocab_size, c.hidden_size,
                                 formats.embedding);
  }
  std::optional<Calibration> calibration;
  if (formats.calibrate) calibration.emplace(ctx, *this);
  const std::int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  for (std::int64_t i = 0; i < c.layers; i++) {
    const Weights l = w.scope("layers", i);
    const Weights attention = l.scope("self_attn"), mlp = l.scope("mlp");
    Layer layer;
    layer.input_norm = l.floats("input_layernorm.weight", {c.hidden_size});
    layer.post_attention_norm = l.floats("post_attention_layernorm.weight", {c.hidden_size});
    layer.qkv = {ctx,           attention,        {{"q_proj", q}, {"k_proj", kv}, {"v_proj", kv}},
                 c.hidden_size, c.attention_bias, formats.attention};
    layer.out = {ctx, attention,        {{"o_proj", c.hidden_size}},
                 q,   c.attention_bias, formats.attention};
    const kernels::WeightFormat kept = layer.qkv.format();
    bf16_products_ = kept != kernels::WeightFormat::f32 && kept != kernels::WeightFormat::f16;
    if (calibration) calibration->attend(ctx, layer, i);
    const bool edge = i == 0 || i + 1 == c.layers;
    make_mlp(ctx, mlp, formats.gate_up, edge ? formats.edge_down : formats.down,
             calibration ? &*calibration : nullptr, layer);
    layers_.push_back(std::move(layer));
  }
}

// x += out(attention(rotary(q), rotary(k), v)).  x: [rows, hidden].
void Decoder::attend(const Context& ctx, const Layer& layer, std::int64_t index,
                     const KvPages& pages, const Batch& batch, Arena& arena,
                     TensorView<float> x) const {
  const auto& c = config_;
  const std::int64_t rows = x.rows(), q_dim = c.heads * c.head_dim,
                     kv_dim = c.kv_heads * c.head_dim;
  Arena::Frame frame(arena);
  const auto normed = arena.floats({rows, c.hidden_size}, "normed");
  const auto qkv = arena.floats({rows, q_dim + 2 * kv_dim}, "qkv");
  const auto mixed = arena.floats({rows, q_dim}, "mixed");
  kernels::rms_norm(ctx, x, layer.input_norm.view<float>(), c.rms_norm_eps, normed);
  layer.qkv(ctx, normed, qkv);
  const auto q = qkv.slice_cols(0, q_dim);
  const auto k = qkv.slice_cols(q_dim, kv_dim);
  const auto v = qkv.slice_cols(q_dim + kv_dim, kv_dim);
  kernels::rotate_half(ctx, q, c.heads, c.head_dim, batch.cosine, batch.sine);
  kernels::rotate_half(ctx, k, c.kv_heads, c.head_dim, batch.cosine, batch.sine);

  const DType dtype = pages.shape().dtype;
  kernels::write_pages(ctx, k, c.kv_heads, c.head_dim, batch.slot, pages.keys(index), dtype);
  kernels::write_pages(ctx, v, c.kv_heads, c.head_dim, batch.slot, pages.values(index), dtype);
  kernels::KeyValues kv;
  kv.k_pages = pages.keys(index);
  kv.v_pages = pages.values(index);
  kv.page_dtype = dtype;
  const float scale = 1.0f / std::sqrt(float(c.head_dim));
  const bool bf16_products = bf16_products_ && dtype == DType::bf16;
  kernels::attention(ctx, {c.heads, c.kv_heads, c.head_dim, scale, 0, bf16_products}, q, kv,
                     batch.sequences, batch.first_key, batch.last_key, mixed);
  layer.out.accumulate(ctx, mixed, x);
}

// x += down(act(gate(norm(x))) * up(norm(x))).  x: [rows, hidden].
// Shazeer, 2020, arXiv:2002.05202 (SwiGLU).
void Decoder::feed_forward(const Context& ctx, const Layer& layer, Arena& arena,
                           TensorView<float> x) const {
  const std::int64_t rows = x.rows(), inner = config_.intermediate_size;
  Arena::Frame frame(arena);
  const auto normed = arena.floats({rows, config_.hidden_size}, "normed");
  const auto gate_up = arena.floats({rows, 2 * inner}, "gate_up");
  const auto hidden = arena.floats({rows, inner}, "hidden");
  kernels::rms_norm(ctx, x, layer.post_attention_norm.view<float>(), config_.rms_norm_eps, normed);
  layer.gate_up(ctx, normed, gate_up);
  kernels::gated_activation(ctx, config_.activation, gate_up, hidden);
  layer.down.accumulate(ctx, hidden, x);
}

void Decoder::forward(const Context& ctx, KvPages& pages, std::span<const BatchPart> parts,
                      Arena& arena, TensorView<float> x) const {
  Arena::Frame frame(arena);
  const Batch batch = lay_out(ctx, parts, arena);
  ctx.show("decoder.embed", x);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    attend(ctx, layers_[i], std::int64_t(i), pages, batch, arena, x);
    feed_forward(ctx, layers_[i], arena, x);
    if (ctx.tap != nullptr) ctx.show("decoder.layers." + std::to_string(i), x);
  }
  kernels::rms_norm(ctx, x, norm_.view<float>(), config_.rms_norm_eps, x);
  ctx.show("decoder.norm", x);
  for (const BatchPart& part : parts) part.state->advance(part.rows);
}

}  // namespace chiasm::language
