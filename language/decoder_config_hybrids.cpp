// Decoders that are more than attention to their own words.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"
#include "language/decoder_config_families.h"

namespace chiasm::language {

namespace {

/// Which layers attend; the others are convolutions.
void read_lfm2_mixers(const Json& config, DecoderConfig& c) {
  const auto set = [&](std::int64_t i, bool attends) {
    c.layer[std::size_t(i)].mixer = attends ? Mixer::attention : Mixer::short_convolution;
  };
  if (config.has("layer_types")) {
    const Json types = config["layer_types"];
    if (std::int64_t(types.size()) != c.layers) {
      fail<ModelError>(types.where(), ": names ", types.size(), " layers of ", c.layers);
    }
    for (std::int64_t i = 0; i < c.layers; i++) {
      const Json type = types[std::size_t(i)];
      if (type.str() != "full_attention" && type.str() != "conv") {
        fail<ModelError>(type.where(), ": layer type \"", type.str(),
                         "\" is not supported; known are full_attention, conv");
      }
      set(i, type.str() == "full_attention");
    }
  } else if (config.has("full_attn_idxs")) {
    const auto attending = config["full_attn_idxs"].integers();
    for (std::int64_t i = 0; i < c.layers; i++) {
      set(i, std::ranges::find(attending, i) != attending.end());
    }
  }
}

/// The MLP's size as the reference makes it from the config's.
std::int64_t lfm2_intermediate_size(const Json& config) {
  std::int64_t size = config.integer("block_ff_dim", config.integer("intermediate_size", 12288));
  if (!config.boolean("block_auto_adjust_ff_dim", true)) return size;
  size = std::int64_t(double(2 * size) / 3);
  size = std::int64_t(config.number("block_ffn_dim_multiplier", 1) * double(size));
  const std::int64_t multiple = config.integer("block_multiple_of", 256);
  if (multiple < 1) fail<ModelError>(config.where(), ": block_multiple_of is ", multiple);
  return (size + multiple - 1) / multiple * multiple;
}

}  // namespace

DecoderConfig read_lfm2(const Json& config) {
  DecoderConfig c = read_sizes(config, {.hidden_size = 2560,
                                        .intermediate_size = 12288,
                                        .kv_heads = 8,
                                        .vocab_size = 65536,
                                        .max_positions = 128000,
                                        .tied = true});
  c.intermediate_size = lfm2_intermediate_size(config);
  c.tied = config.boolean("tie_embedding", c.tied);
  c.norm.eps = float(config.number("norm_eps", 1e-5));
  c.names.final_norm = "embedding_norm";
  c.names.mixer_norm = "operator_norm";
  c.names.mlp_norm = "ffn_norm";
  c.names.out = "out_proj";
  c.names.q_norm = "q_layernorm";
  c.names.k_norm = "k_layernorm";
  c.names.mlp = "feed_forward";
  c.names.gate = "w1";
  c.names.up = "w3";
  c.names.down = "w2";
  read_lfm2_mixers(config, c);
  c.taps = config.integer("conv_L_cache", 3);
  c.convolution_bias = config.boolean("conv_bias", false);
  if (c.taps < 1 || c.taps > 64) fail<ModelError>(config.where(), ": conv_L_cache is ", c.taps);
  check_sizes(config, c);
  c.rope = rope_frequencies(config, c.head_dim, {.theta = 1e6});
  return c;
}

// transformers' Mamba2Config.
DecoderConfig read_mamba2(const Json& config) {
  DecoderConfig c;
  c.hidden_size = config.integer("hidden_size", 4096);
  c.layers = config.integer("num_hidden_layers", 64);
  c.vocab_size = config.integer("vocab_size", 32768);
  c.max_positions = 1 << 20;  // there are no positions: as long as anybody wants
  c.tied = config.boolean("tie_word_embeddings", false);
  StateSpaceConfig& s = c.state_space;
  s.heads = config.integer("num_heads", 128);
  s.head_dim = config.integer("head_dim", 64);
  s.groups = config.integer("n_groups", 8);
  s.size = config.integer("state_size", 128);
  s.taps = config.integer("conv_kernel", 4);
  const std::int64_t expand = config.integer("expand", 2);
  const auto within = [](std::int64_t size, std::int64_t most) { return size > 0 && size <= most; };
  const bool sane = within(c.hidden_size, 1 << 20) && within(c.layers, 1 << 12) &&
                    within(c.vocab_size, 1 << 24) && within(s.heads, 1 << 14) &&
                    within(s.head_dim, 1 << 12) && within(s.groups, s.heads) &&
                    s.heads % s.groups == 0 && within(s.size, 1 << 12) && within(s.taps, 64) &&
                    within(expand, 64) && s.inner() == expand * c.hidden_size;
  if (!sane) {
    fail<ModelError>(config.where(), ": these sizes do not describe a state space: hidden_size ",
                     c.hidden_size, ", expand ", expand, ", num_heads ", s.heads, ", head_dim ",
                     s.head_dim, ", n_groups ", s.groups, ", state_size ", s.size, ", conv_kernel ",
                     s.taps, ", num_hidden_layers ", c.layers, ", vocab_size ", c.vocab_size);
  }
  s.bias = config.boolean("use_bias", false);
  s.convolution_bias = config.boolean("use_conv_bias", true);
  s.most_step = std::numeric_limits<float>::infinity();
  if (config.has("time_step_limit")) {
    const Json limit = config["time_step_limit"];
    s.least_step = float(limit[0].number());
    s.most_step = float(limit[1].number());
    if (!(s.least_step >= 0 && s.least_step <= s.most_step)) {
      fail<ModelError>(limit.where(), ": ", s.least_step, " to ", s.most_step, " is no range");
    }
  }
  c.norm = {kernels::NormKind::rms, float(config.number("layer_norm_epsilon", 1e-5)), 0};
  c.activation = kernels::activation_from_name(config.str("hidden_act", "silu"));
  c.layer.resize(std::size_t(c.layers), {.mixer = Mixer::state_space});
  c.names.embeddings = "embeddings";
  c.names.final_norm = "norm_f";
  c.names.mixer_norm = "norm";
  return c;
}

DecoderConfig read_whisper(const Json& config) {
  DecoderConfig c;
  c.hidden_size = config.integer("d_model", 384);
  c.intermediate_size = config.integer("decoder_ffn_dim", 1536);
  c.layers = config.integer("decoder_layers", 4);
  c.heads = c.kv_heads = config.integer("decoder_attention_heads", 6);
  c.head_dim = c.heads > 0 ? c.hidden_size / c.heads : 0;
  c.vocab_size = config.integer("vocab_size", 51865);
  c.max_positions = config.integer("max_target_positions", 448);
  c.tied = config.boolean("tie_word_embeddings", true);
  check_sizes(config, c);
  c.norm = {kernels::NormKind::layer, 1e-5f, 0};  // torch's default, which Whisper takes
  c.qkv_bias = c.out_bias = c.mlp_bias = true;
  c.k_bias = false;
  c.activation = kernels::activation_from_name(config.str("activation_function", "gelu"));
  c.attention_scale = 1.0f / std::sqrt(float(c.head_dim));
  // transformers reads scale_embedding too, and does not use it.
  c.layer.resize(std::size_t(c.layers));
  c.names.positions = "embed_positions";
  c.names.final_norm = "layer_norm";
  c.names.mixer_norm = "self_attn_layer_norm";
  c.names.out = "out_proj";
  c.names.cross = "encoder_attn";
  c.names.cross_norm = "encoder_attn_layer_norm";
  c.names.mlp_norm = "final_layer_norm";
  c.names.mlp = c.names.gate = "";
  c.names.up = "fc1";
  c.names.down = "fc2";
  return c;
}

}  // namespace chiasm::language
