#include "language/decoder_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/error.h"
#include "kernels/linear_layer.h"
#include "language/decoder_config_families.h"

namespace chiasm::language {

namespace {

struct Entry {
  std::string_view type;
  DecoderConfig (*read)(const Json&);
};

// Folders of Qwen2-VL from before transformers 4.52 have the text model's keys at the top, hence
// the names without "_text".
constexpr std::array kTypes = {
    Entry{"llama", read_llama},
    Entry{"mistral", read_mistral},
    Entry{"qwen2", read_qwen2},
    Entry{"qwen2_vl", read_qwen2_vl},
    Entry{"qwen2_vl_text", read_qwen2_vl},
    Entry{"qwen2_5_vl", read_qwen2_vl},
    Entry{"qwen2_5_vl_text", read_qwen2_vl},
    Entry{"qwen3", read_qwen3},
    Entry{"qwen3_vl_text", read_qwen3_vl},
    Entry{"gemma", read_gemma},
    Entry{"gemma2", read_gemma2},
    Entry{"gemma3_text", read_gemma3},
    Entry{"lfm2", read_lfm2},
    Entry{"gpt2", read_gpt2},
    Entry{"phi3", read_phi3},
    Entry{"smollm3", read_smollm3},
    Entry{"mamba2", read_mamba2},
    Entry{"whisper", read_whisper},
};

}  // namespace

void check_sizes(const Json& config, const DecoderConfig& c) {
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
}

DecoderConfig read_sizes(const Json& config, const DecoderDefaults& d) {
  DecoderConfig c;
  c.hidden_size = config.integer("hidden_size", d.hidden_size);
  c.intermediate_size = config.integer("intermediate_size", d.intermediate_size);
  c.layers = config.integer("num_hidden_layers", d.layers);
  c.heads = config.integer("num_attention_heads", d.heads);
  c.kv_heads = config.integer("num_key_value_heads", d.kv_heads > 0 ? d.kv_heads : c.heads);
  const std::int64_t even = c.heads > 0 ? c.hidden_size / c.heads : 0;
  c.head_dim = config.integer("head_dim", d.head_dim > 0 ? d.head_dim : even);
  c.vocab_size = config.integer("vocab_size", d.vocab_size);
  c.max_positions = config.integer("max_position_embeddings", d.max_positions);
  c.tied = config.boolean("tie_word_embeddings", d.tied);
  c.norm = {kernels::NormKind::rms, float(config.number("rms_norm_eps", d.norm_eps)), 0};
  check_sizes(config, c);
  c.attention_scale = 1.0f / std::sqrt(float(c.head_dim));
  c.layer.resize(std::size_t(c.layers));
  return c;
}

DecoderConfig DecoderConfig::from_json(const Json& config, std::string_view otherwise) {
  const std::string type = config.str("model_type", otherwise);
  for (const Entry& entry : kTypes) {
    if (entry.type == type) return entry.read(config);
  }
  std::string known;
  for (const Entry& entry : kTypes) {
    known.append(known.empty() ? "" : ", ").append(entry.type);
  }
  fail<ModelError>(config.where(), ": text model \"", type, "\" is not supported; supported are ",
                   known);
}

std::int64_t DecoderConfig::position_axes() const {
  const auto most = std::max_element(rope.axis.begin(), rope.axis.end());
  return most == rope.axis.end() ? 1 : 1 + std::int64_t(*most);
}

std::int64_t DecoderConfig::layers_of(Mixer mixer) const {
  return std::ranges::count(layer, mixer, &DecoderLayerConfig::mixer);
}

std::int64_t DecoderConfig::row_macs() const {
  const std::int64_t q = heads * head_dim, kv = kv_heads * head_dim;
  const std::int64_t attention = 2 * hidden_size * (q + kv);
  const std::int64_t cross = names.cross.empty() ? 0 : 2 * hidden_size * q;
  const std::int64_t convolution = hidden_size * (4 * hidden_size + taps);
  const std::int64_t mlp = (gated() ? 3 : 2) * hidden_size * intermediate_size;
  const StateSpaceConfig& s = state_space;
  const std::int64_t space = hidden_size * (2 * s.inner() + s.convolved() + s.heads) +
                             s.taps * s.convolved() + 2 * s.inner() * s.size;
  return layers_of(Mixer::state_space) * space + layers_of(Mixer::attention) * (attention + cross) +
         layers_of(Mixer::short_convolution) * convolution + layers * mlp;
}

std::int64_t DecoderConfig::scratch_floats() const {
  const std::int64_t q = heads * head_dim, kv = kv_heads * head_dim;
  const std::int64_t attention =
      hidden_size + 2 * q + 2 * kv + (names.mixed_norm.empty() ? 0 : hidden_size);
  const std::int64_t convolution = taps > 0 ? 5 * hidden_size : 0;
  const std::int64_t inner =
      intermediate_size + (gated() ? kernels::gate_scratch(intermediate_size) : 0);
  const std::int64_t mlp = hidden_size + inner + (names.mlp_out_norm.empty() ? 0 : hidden_size);
  const StateSpaceConfig& s = state_space;
  const std::int64_t space = hidden_size + 2 * s.inner() + 2 * s.convolved() + 2 * s.heads;
  const auto tables =
      2 * std::int64_t(rope.inv_freq.size() + (sliding_rope ? sliding_rope->inv_freq.size() : 0));
  return tables + std::max({attention, convolution, space, mlp});
}

}  // namespace chiasm::language
