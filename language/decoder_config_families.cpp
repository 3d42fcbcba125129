#include "language/decoder_config_families.h"

#include <cmath>
#include <string>

#include "core/error.h"

namespace chiasm::language {

namespace {
constexpr std::string_view kSliding = "sliding_attention", kFull = "full_attention";
}  // namespace

void read_layer_types(const Json& config, std::int64_t window, DecoderConfig& c) {
  bool any = false;
  const bool listed = config.has("layer_types");
  if (listed && std::int64_t(config["layer_types"].size()) != c.layers) {
    fail<ModelError>(config.where(), ": layer_types names ", config["layer_types"].size(),
                     " layers of ", c.layers);
  }
  for (std::int64_t i = 0; i < c.layers; i++) {
    bool& sliding = c.layer[std::size_t(i)].sliding;
    if (listed) {
      const Json entry = config["layer_types"][std::size_t(i)];
      const std::string type = entry.str();
      if (type != kSliding && type != kFull) {
        fail<ModelError>(entry.where(), ": layer type \"", type, "\" is not supported; known are ",
                         kFull, ", ", kSliding);
      }
      sliding = type == kSliding;
    }
    any = any || sliding;
  }
  if (any && window < 1) {
    fail<ModelError>(config.where(), ": layers slide, but there is no window of at least 1 key");
  }
  c.sliding_window = any ? window : 0;
}

float number_or_none(const Json& config, std::string_view key, double otherwise) {
  const bool null = config.raw().contains(key) && !config.has(key);
  return null ? 0.0f : float(config.number(key, otherwise));
}

namespace {

/// The layers for which `slides(i)` holds slide, unless the config lists them.
template <class Slides>
void slide_where(const Json& config, std::int64_t window, const Slides& slides, DecoderConfig& c) {
  for (std::int64_t i = 0; i < c.layers; i++) c.layer[std::size_t(i)].sliding = slides(i);
  read_layer_types(config, window, c);
}

/// Qwen's way: the layers from `max_window_layers` on slide if `use_sliding_window` is set.
void read_qwen_window(const Json& config, std::int64_t first, DecoderConfig& c) {
  const bool used = config.boolean("use_sliding_window", false);
  const std::int64_t window = used ? config.integer("sliding_window", 4096) : 0;
  const std::int64_t from = config.integer("max_window_layers", first);
  slide_where(
      config, window, [&](std::int64_t i) { return used && i >= from; }, c);
}

/// Biases on q, k and v alone.
void read_qwen2_parts(const Json& config, std::int64_t first_window_layer, DecoderConfig& c) {
  c.qkv_bias = true;
  c.activation = kernels::activation_from_name(config.str("hidden_act", "silu"));
  read_qwen_window(config, first_window_layer, c);
}

/// A norm on each head of q and k.
void read_qwen3_parts(const Json& config, DecoderConfig& c) {
  c.names.q_norm = "q_norm";
  c.names.k_norm = "k_norm";
  c.qkv_bias = c.out_bias = config.boolean("attention_bias", false);
  c.activation = kernels::activation_from_name(config.str("hidden_act", "silu"));
}

/// What all Gemmas share: 1 + w norms, scaled word rows, a tanh GELU. The first wrote its
/// activation as "gelu" and meant the tanh form.
void read_gemma_parts(const Json& config, DecoderConfig& c) {
  c.bidirectional = config.boolean("use_bidirectional_attention", false);
  c.norm.offset = float(config.number("norm_offset", 1));  // GGUF files hold 1 + w
  c.qkv_bias = c.out_bias = config.boolean("attention_bias", false);
  c.embedding_scale = std::sqrt(float(c.hidden_size));
  const std::string act =
      config.str("hidden_activation", config.str("hidden_act", "gelu_pytorch_tanh"));
  c.activation = kernels::activation_from_name(act == "gelu" ? "gelu_pytorch_tanh" : act);
}

/// A second norm around attention and MLP, on what they add.
void read_gemma2_parts(const Json& config, DecoderConfig& c) {
  read_gemma_parts(config, c);
  c.names.mixed_norm = "post_attention_layernorm";
  c.names.mlp_norm = "pre_feedforward_layernorm";
  c.names.mlp_out_norm = "post_feedforward_layernorm";
  c.attention_scale = 1.0f / std::sqrt(float(config.number("query_pre_attn_scalar", 256)));
}

}  // namespace

DecoderConfig read_llama(const Json& config) {
  DecoderConfig c = read_sizes(config, {});
  c.qkv_bias = c.out_bias = config.boolean("attention_bias", false);
  c.mlp_bias = config.boolean("mlp_bias", false);
  c.activation = kernels::activation_from_name(config.str("hidden_act", "silu"));
  c.rope = rope_frequencies(config, c.head_dim);
  return c;
}

DecoderConfig read_mistral(const Json& config) {
  DecoderConfig c =
      read_sizes(config, {.intermediate_size = 14336, .kv_heads = 8, .max_positions = 4096 * 32});
  c.activation = kernels::activation_from_name(config.str("hidden_act", "silu"));
  c.sliding_window = std::int64_t(number_or_none(config, "sliding_window", 4096));
  for (auto& layer : c.layer) layer.sliding = c.sliding_window > 0;
  c.rope = rope_frequencies(config, c.head_dim);
  return c;
}

DecoderConfig read_qwen2(const Json& config) {
  DecoderConfig c = read_sizes(
      config, {.intermediate_size = 22016, .vocab_size = 151936, .max_positions = 32768});
  read_qwen2_parts(config, 28, c);
  c.rope = rope_frequencies(config, c.head_dim);
  return c;
}

DecoderConfig read_qwen2_vl(const Json& config) {
  DecoderConfig c = read_sizes(config, {.hidden_size = 8192,
                                        .intermediate_size = 29568,
                                        .layers = 80,
                                        .heads = 64,
                                        .kv_heads = 8,
                                        .vocab_size = 152064,
                                        .max_positions = 32768,
                                        .norm_eps = 1e-5});
  read_qwen2_parts(config, 80, c);
  c.rope = rope_frequencies(config, c.head_dim, {.theta = 1e6, .sections = {{16, 24, 24}}});
  return c;
}

DecoderConfig read_qwen3(const Json& config) {
  DecoderConfig c = read_sizes(
      config,
      {.intermediate_size = 22016, .head_dim = 128, .vocab_size = 151936, .max_positions = 32768});
  read_qwen3_parts(config, c);
  read_qwen_window(config, 28, c);
  c.rope = rope_frequencies(config, c.head_dim);
  return c;
}

DecoderConfig read_qwen3_vl(const Json& config) {
  DecoderConfig c = read_sizes(
      config,
      {.intermediate_size = 22016, .head_dim = 128, .vocab_size = 151936, .max_positions = 128000});
  read_qwen3_parts(config, c);
  // transformers never asks for the config's "mrope_interleaved".
  c.rope = rope_frequencies(config, c.head_dim,
                            {.theta = 5e5, .sections = {{24, 20, 20}}, .interleaved = true});
  return c;
}

DecoderConfig read_gemma(const Json& config) {
  DecoderConfig c = read_sizes(config, {.hidden_size = 3072,
                                        .intermediate_size = 24576,
                                        .layers = 28,
                                        .heads = 16,
                                        .kv_heads = 16,
                                        .head_dim = 256,
                                        .vocab_size = 256000,
                                        .max_positions = 8192,
                                        .tied = true});
  read_gemma_parts(config, c);
  c.rope = rope_frequencies(config, c.head_dim);
  return c;
}

DecoderConfig read_gemma2(const Json& config) {
  DecoderConfig c = read_sizes(config, {.hidden_size = 2304,
                                        .intermediate_size = 9216,
                                        .layers = 26,
                                        .heads = 8,
                                        .kv_heads = 4,
                                        .head_dim = 256,
                                        .vocab_size = 256000,
                                        .max_positions = 8192,
                                        .tied = true});
  read_gemma2_parts(config, c);
  c.attention_softcap = number_or_none(config, "attn_logit_softcapping", 50);
  c.logit_softcap = number_or_none(config, "final_logit_softcapping", 30);
  slide_where(
      config, config.integer("sliding_window", 4096), [](std::int64_t i) { return i % 2 == 0; }, c);
  c.rope = rope_frequencies(config, c.head_dim);
  return c;
}

DecoderConfig read_gemma3(const Json& config) {
  DecoderConfig c = read_sizes(config, {.hidden_size = 2304,
                                        .intermediate_size = 9216,
                                        .layers = 26,
                                        .heads = 8,
                                        .kv_heads = 4,
                                        .head_dim = 256,
                                        .vocab_size = 262208,
                                        .max_positions = 131072,
                                        .tied = true});
  read_gemma2_parts(config, c);
  c.names.q_norm = "q_norm";
  c.names.k_norm = "k_norm";
  // transformers reads attn_logit_softcapping too, and does not use it.
  c.logit_softcap = number_or_none(config, "final_logit_softcapping", 0);
  const std::int64_t pattern = config.integer("sliding_window_pattern", 6);
  if (pattern < 1) fail<ModelError>(config.where(), ": sliding_window_pattern is ", pattern);
  slide_where(
      config, config.integer("sliding_window", 4096),
      [&](std::int64_t i) { return (i + 1) % pattern != 0; }, c);
  c.rope = rope_frequencies(config, c.head_dim, {.theta = 1e6, .layer_type = kFull});
  c.sliding_rope = rope_frequencies(
      config, c.head_dim,
      {.theta = config.number("rope_local_base_freq", 1e4), .layer_type = kSliding});
  return c;
}

}  // namespace chiasm::language
