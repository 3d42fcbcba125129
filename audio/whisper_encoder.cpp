#include "audio/whisper_encoder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "kernels/attention.h"
#include "kernels/embed.h"
#include "kernels/norm.h"

namespace chiasm::audio {

namespace {

constexpr float kNormEps = 1e-5f;    // torch.nn.LayerNorm's; no config has a say
constexpr std::int64_t kKernel = 3;  // frames under both convolutions

void check_sizes(const Json& config, const WhisperEncoderConfig& c) {
  // Upper bounds far over any published model keep products of sizes from overflowing.
  const auto within = [](std::int64_t size, std::int64_t most) { return size > 0 && size <= most; };
  const bool sane = within(c.hidden_size, 1 << 16) && within(c.heads, c.hidden_size) &&
                    c.hidden_size % c.heads == 0 && c.hidden_size / c.heads <= 256 &&
                    within(c.layers, 1 << 12) && within(c.intermediate_size, 1 << 20) &&
                    within(c.bins, 1 << 10) && within(c.positions, 1 << 20);
  if (!sane) {
    fail<ModelError>(config.where(), ": these sizes do not describe an audio encoder: d_model ",
                     c.hidden_size, ", encoder_ffn_dim ", c.intermediate_size, ", encoder_layers ",
                     c.layers, ", encoder_attention_heads ", c.heads, ", num_mel_bins ", c.bins,
                     ", max_source_positions ", c.positions);
  }
}

/// The rows whose means, `count` after one another of each window, leave the encoder.
std::vector<std::int32_t> averaged_rows(std::span<const WhisperWindow> windows,
                                        std::int64_t count) {
  std::vector<std::int32_t> rows;
  std::int64_t begin = 0;
  for (const WhisperWindow& window : windows) {
    for (std::int64_t i = 0; i < window.rows / count * count; i++) {
      rows.push_back(std::int32_t(begin + i));
    }
    begin += window.rows;
  }
  return rows;
}

}  // namespace

WhisperEncoderConfig WhisperEncoderConfig::from_json(const Json& config) {
  const WhisperEncoderConfig c{
      .hidden_size = config.integer("d_model", 384),
      .intermediate_size = config.integer("encoder_ffn_dim", 1536),
      .layers = config.integer("encoder_layers", 4),
      .heads = config.integer("encoder_attention_heads", 6),
      .bins = config.integer("num_mel_bins", 80),
      .positions = config.integer("max_source_positions", 1500),
      .activation = kernels::activation_from_name(config.str("activation_function", "gelu")),
  };
  check_sizes(config, c);
  return c;
}

WhisperEncoderConfig WhisperEncoderConfig::large_from_json(const Json& config) {
  const auto size = [&](std::string_view name, std::string_view other, std::int64_t otherwise) {
    return config.integer(name, config.integer(other, otherwise));
  };
  const WhisperEncoderConfig c{
      .hidden_size = size("d_model", "hidden_size", 1280),
      .intermediate_size = size("encoder_ffn_dim", "intermediate_size", 5120),
      .layers = size("encoder_layers", "num_hidden_layers", 32),
      .heads = size("encoder_attention_heads", "num_attention_heads", 20),
      .bins = config.integer("num_mel_bins", 128),
      .positions = config.integer("max_source_positions", 1500),
      .activation = kernels::activation_from_name(config.str("activation_function", "gelu")),
  };
  check_sizes(config, c);
  return c;
}

WhisperEncoderLayer::WhisperEncoderLayer(const Context& ctx, const WhisperEncoderConfig& c,
                                         const Weights& w, kernels::WeightFormat format)
    : norm1_weight_(w.floats("self_attn_layer_norm.weight", {c.hidden_size})),
      norm1_bias_(w.floats("self_attn_layer_norm.bias", {c.hidden_size})),
      norm2_weight_(w.floats("final_layer_norm.weight", {c.hidden_size})),
      norm2_bias_(w.floats("final_layer_norm.bias", {c.hidden_size})),
      qkv_(ctx, w.scope("self_attn"),
           {{"q_proj", c.hidden_size}, {"k_proj", c.hidden_size, false}, {"v_proj", c.hidden_size}},
           c.hidden_size, true, format),
      out_(ctx, w.scope("self_attn"), {{"out_proj", c.hidden_size}}, c.hidden_size, true, format),
      up_(ctx, w, {{"fc1", c.intermediate_size}}, c.hidden_size, true, format),
      down_(ctx, w, {{"fc2", c.hidden_size}}, c.intermediate_size, true, format) {}

std::size_t WhisperEncoderLayer::bytes() const {
  return qkv_.bytes() + out_.bytes() + up_.bytes() + down_.bytes() + 4 * norm1_weight_.bytes();
}

WhisperEncoder::WhisperEncoder(const Context& ctx, const WhisperEncoderConfig& c, const Weights& w,
                               kernels::WeightFormat format,
                               kernels::WeightFormat convolution_format)
    : config_(c),
      bf16_products_(format != kernels::WeightFormat::f32 && format != kernels::WeightFormat::f16),
      conv1_(kernels::LinearLayer::from_convolution(
          ctx, w.scope("conv1"), {c.hidden_size, c.bins, kKernel}, true, convolution_format)),
      conv2_(kernels::LinearLayer::from_convolution(ctx, w.scope("conv2"),
                                                    {c.hidden_size, c.hidden_size, kKernel}, true,
                                                    convolution_format)),
      position_embedding_(w.floats("embed_positions.weight", {c.positions, c.hidden_size})),
      norm_weight_(w.floats("layer_norm.weight", {c.hidden_size})),
      norm_bias_(w.floats("layer_norm.bias", {c.hidden_size})) {
  for (std::int64_t i = 0; i < c.layers; i++) {
    layers_.emplace_back(ctx, c, w.scope("layers", i), format);
  }
}

std::size_t WhisperEncoder::bytes() const {
  std::size_t total = conv1_.bytes() + conv2_.bytes() + position_embedding_.bytes();
  for (const WhisperEncoderLayer& layer : layers_) total += layer.bytes();
  return total;
}

std::int64_t WhisperEncoder::macs(std::int64_t rows) const {
  const std::int64_t dim = config_.hidden_size;
  const std::int64_t layer =
      rows * (4 * dim * dim + 2 * dim * config_.intermediate_size) + 2 * rows * rows * dim;
  return config_.layers * layer + kKernel * dim * rows * (2 * config_.bins + dim);
}

std::size_t WhisperEncoder::scratch_bytes(std::int64_t rows) const {
  const std::int64_t dim = config_.hidden_size;
  const std::int64_t widest = std::max(4 * dim, dim + config_.intermediate_size);
  // Of one window at a time: both convolutions' inputs, and the first one's output.
  const std::int64_t convolved =
      config_.frames() * (std::max(kKernel * config_.bins, kKernel * dim / 2) + dim);
  return std::size_t(std::max(rows * widest, convolved) + rows * dim) * sizeof(float);
}

// gelu(conv2(gelu(conv1(mel)))): [frames, bins] -> [frames, hidden] -> [rows, hidden].
void WhisperEncoder::convolve(const Context& ctx, const WhisperWindow& window, Arena& arena,
                              TensorView<float> x) const {
  const std::int64_t dim = config_.hidden_size;
  // The last row takes first-convolution rows up to 2 * rows - 1, which take a frame more.
  const std::int64_t frames = std::min(window.mel.rows(), 2 * window.rows + 1);
  Arena::Frame frame(arena);
  const TensorView<float> first = arena.floats({frames, dim}, "first");
  {
    Arena::Frame inner(arena);
    const auto stretches = arena.floats({frames, config_.bins * kKernel}, "stretches");
    kernels::extract_stretches(ctx, window.mel.slice_rows(0, frames), kKernel, 1, 1, stretches);
    conv1_(ctx, stretches, first, kernels::Activation::gelu);
  }
  const auto stretches = arena.floats({(frames + 1) / 2, dim * kKernel}, "stretches");
  kernels::extract_stretches(ctx, first, kKernel, 2, 1, stretches);
  conv2_(ctx, stretches.slice_rows(0, window.rows), x, kernels::Activation::gelu);
}

// x += attention(norm1(x)); x += mlp(norm2(x)).  x: [rows of all windows, hidden].
void WhisperEncoder::layer(const Context& ctx, const WhisperEncoderLayer& layer,
                           std::span<const WhisperWindow> windows, Arena& arena,
                           TensorView<float> x) const {
  const std::int64_t rows = x.rows(), dim = config_.hidden_size;
  const std::int64_t head_dim = dim / config_.heads;
  std::vector<kernels::AttentionSequence> sequences;
  std::vector<std::int32_t> last_key;
  for (const WhisperWindow& window : windows) {
    const auto begin = std::int64_t(last_key.size());
    sequences.push_back({begin, window.rows, window.rows, begin, nullptr});
    last_key.insert(last_key.end(), std::size_t(window.rows), std::int32_t(window.rows));
  }
  const std::vector<std::int32_t> first_key(std::size_t(rows), 0);
  Arena::Frame frame(arena);
  const TensorView<float> normed = arena.floats({rows, dim}, "normed");
  {
    Arena::Frame inner(arena);
    const TensorView<float> qkv = arena.floats({rows, 3 * dim}, "qkv");
    kernels::layer_norm(ctx, x, layer.norm1_weight_.view<float>(), layer.norm1_bias_.view<float>(),
                        kNormEps, normed);
    layer.qkv_(ctx, normed, qkv);
    kernels::KeyValues kv;
    kv.k = qkv.slice_cols(dim, dim);
    kv.v = qkv.slice_cols(2 * dim, dim);
    const float scale = 1.0f / std::sqrt(float(head_dim));
    kernels::attention(ctx, {config_.heads, config_.heads, head_dim, scale, 0, bf16_products_},
                       qkv.slice_cols(0, dim), kv, sequences, first_key, last_key, normed);
    layer.out_.accumulate(ctx, normed, x);
  }
  const TensorView<float> hidden = arena.floats({rows, config_.intermediate_size}, "hidden");
  kernels::layer_norm(ctx, x, layer.norm2_weight_.view<float>(), layer.norm2_bias_.view<float>(),
                      kNormEps, normed);
  layer.up_(ctx, normed, hidden, config_.activation);
  layer.down_.accumulate(ctx, hidden, x);
}

void WhisperEncoder::forward(const Context& ctx, std::span<const WhisperWindow> windows,
                             Arena& arena, TensorView<float> out) const {
  const std::int64_t dim = config_.hidden_size;
  std::int64_t rows = 0, pooled = 0;
  std::vector<std::int32_t> ids;  // of positions
  for (const WhisperWindow& window : windows) {
    const std::int64_t frames = window.mel.rows();
    window.mel.expect({frames, config_.bins});
    if (frames > config_.frames() || window.rows < 1 || window.rows > (frames + 1) / 2) {
      fail<ShapeError>("a window of ", frames, " frames makes no ", window.rows,
                       " rows in an encoder of ", config_.positions, " positions");
    }
    rows += window.rows;
    pooled += window.rows / config_.pooled;
    ids.resize(std::size_t(rows));
    std::iota(ids.end() - window.rows, ids.end(), 0);
  }
  out.expect({pooled, dim});
  Arena::Frame frame(arena);
  const TensorView<float> x = arena.floats({rows, dim}, "x");
  std::int64_t begin = 0;
  for (const WhisperWindow& window : windows) {
    convolve(ctx, window, arena, x.slice_rows(begin, window.rows));
    begin += window.rows;
  }
  kernels::add_rows(ctx, position_embedding_.view<float>(), ids, x);
  ctx.show("audio.embed", x);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    ctx.poll();
    layer(ctx, layers_[i], windows, arena, x);
    if (ctx.tap != nullptr) ctx.show("audio.layers." + std::to_string(i), x);
  }
  TensorView<const float> last = x;
  if (config_.pooled > 1) {
    kernels::mean_rows(ctx, x, averaged_rows(windows, config_.pooled), out);
    last = out;
  }
  kernels::layer_norm(ctx, last, norm_weight_.view<float>(), norm_bias_.view<float>(), kNormEps,
                      out);
  ctx.show("audio.out", out);
}

}  // namespace chiasm::audio
