// Text models that depart from Llama in how their layers are stored or turned.
#include <cmath>

#include "core/error.h"
#include "language/decoder_config_families.h"

namespace chiasm::language {

// Radford et al., 2019; transformers' GPT2Config.
DecoderConfig read_gpt2(const Json& config) {
  if (config.boolean("add_cross_attention", false)) {
    fail<ModelError>(config.where(), ": add_cross_attention is not supported in gpt2");
  }
  DecoderConfig c;
  c.hidden_size = config.integer("n_embd", 768);
  const bool sane = c.hidden_size > 0 && c.hidden_size <= 1 << 20;  // else check_sizes refuses it
  c.intermediate_size = config.integer("n_inner", sane ? 4 * c.hidden_size : 0);
  c.layers = config.integer("n_layer", 12);
  c.heads = c.kv_heads = config.integer("n_head", 12);
  c.head_dim = c.heads > 0 ? c.hidden_size / c.heads : 0;
  c.vocab_size = config.integer("vocab_size", 50257);
  c.max_positions = config.integer("n_positions", 1024);
  c.tied = config.boolean("tie_word_embeddings", true);
  check_sizes(config, c);
  c.norm = {kernels::NormKind::layer, float(config.number("layer_norm_epsilon", 1e-5)), 0};
  c.qkv_bias = c.out_bias = c.mlp_bias = true;
  c.transposed = config.boolean("transposed", true);
  c.activation = kernels::activation_from_name(config.str("activation_function", "gelu_new"));
  const bool scaled = config.boolean("scale_attn_weights", true);
  c.attention_scale = scaled ? 1.0f / std::sqrt(float(c.head_dim)) : 1.0f;
  c.layer.resize(std::size_t(c.layers));
  if (config.boolean("scale_attn_by_inverse_layer_idx", false)) {
    for (std::size_t i = 0; i < c.layer.size(); i++) c.layer[i].scale = 1.0f / float(i + 1);
  }
  c.names.embeddings = "wte";
  c.names.positions = "wpe";
  c.names.layers = "h";
  c.names.final_norm = "ln_f";
  c.names.mixer_norm = "ln_1";
  c.names.mlp_norm = "ln_2";
  c.names.attention = "attn";
  c.names.qkv = "c_attn";
  c.names.out = c.names.down = "c_proj";
  c.names.gate = "";
  c.names.up = "c_fc";
  return c;
}

// Abdin et al., 2024, arXiv:2404.14219; transformers' Phi3Config.
DecoderConfig read_phi3(const Json& config) {
  DecoderConfig c = read_sizes(config, {.hidden_size = 3072,
                                        .intermediate_size = 8192,
                                        .vocab_size = 32064,
                                        .max_positions = 4096,
                                        .norm_eps = 1e-5});
  c.activation = kernels::activation_from_name(config.str("hidden_act", "silu"));
  c.names.qkv = "qkv_proj";
  c.names.gate = c.names.up = "";
  c.names.gate_up = "gate_up_proj";
  c.sliding_window = std::int64_t(number_or_none(config, "sliding_window", 0));
  for (auto& layer : c.layer) layer.sliding = c.sliding_window > 0;
  c.rope = rope_frequencies(
      config, c.head_dim,
      {.max_positions = c.max_positions, .original_positions = 4096, .yarn_is_long = true});
  return c;
}

// transformers' SmolLM3Config. Layers without positions: Yang et al., 2025, arXiv:2501.18795.
DecoderConfig read_smollm3(const Json& config) {
  DecoderConfig c = read_sizes(config, {.hidden_size = 2048,
                                        .layers = 36,
                                        .heads = 16,
                                        .kv_heads = 4,
                                        .vocab_size = 128256,
                                        .max_positions = 32768,
                                        .tied = true});
  c.qkv_bias = c.out_bias = config.boolean("attention_bias", false);
  c.mlp_bias = config.boolean("mlp_bias", false);
  c.activation = kernels::activation_from_name(config.str("hidden_act", "silu"));
  const std::int64_t interval = config.integer("no_rope_layer_interval", 4);
  if (interval < 1) fail<ModelError>(config.where(), ": no_rope_layer_interval is ", interval);
  std::vector<std::int64_t> turned;
  if (config.has("no_rope_layers")) turned = config["no_rope_layers"].integers();
  if (!turned.empty() && std::int64_t(turned.size()) < c.layers) {
    fail<ModelError>(config.where(), ": no_rope_layers names ", turned.size(), " layers of ",
                     c.layers);
  }
  const bool used = config.boolean("use_sliding_window", false);
  const auto window = used ? std::int64_t(number_or_none(config, "sliding_window", 0)) : 0;
  for (std::size_t i = 0; i < c.layer.size(); i++) {
    const bool plain = (std::int64_t(i) + 1) % interval != 0;
    c.layer[i].turned = turned.empty() ? plain : turned[i] != 0;
    c.layer[i].sliding = window > 0 && !c.layer[i].turned;
  }
  if (window > 0) read_layer_types(config, window, c);
  c.rope = rope_frequencies(config, c.head_dim, {.theta = 2e6});
  return c;
}

}  // namespace chiasm::language
