#pragma once
/// What a text decoder is made of, read from a transformers text config.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "kernels/activation.h"
#include "kernels/norm_layer.h"
#include "language/rope.h"

namespace chiasm::language {

/// What a family calls the parts of its decoder. An empty name: it has no such part.
struct DecoderNames {
  std::string_view embeddings = "embed_tokens", layers = "layers";
  std::string_view positions = "";  // a learned table, added to the first layer's rows
  std::string_view final_norm = "norm";
  std::string_view mixer_norm = "input_layernorm";         // before attention
  std::string_view mixed_norm = "";                        // of what attention adds
  std::string_view mlp_norm = "post_attention_layernorm";  // before the MLP
  std::string_view mlp_out_norm = "";                      // of what the MLP adds
  std::string_view attention = "self_attn", out = "o_proj";
  std::string_view qkv = "";  // q, k and v stored as one matrix; else "q_proj", "k_proj", "v_proj"
  std::string_view q_norm = "", k_norm = "";     // of each head, before it is turned
  std::string_view cross = "", cross_norm = "";  // attention to what an encoder made
  std::string_view convolution = "conv", state_space = "mixer";
  std::string_view mlp = "mlp", gate = "gate_proj", up = "up_proj", down = "down_proj";
  std::string_view gate_up = "";  // instead of `gate` and `up`: both stored as one matrix
};

enum class Mixer { attention, short_convolution, state_space };

struct DecoderLayerConfig {
  Mixer mixer = Mixer::attention;
  bool sliding = false;  // its rows see the last `sliding_window` keys only
  bool turned = true;    // q and k by their positions, where the config has frequencies
  float scale = 1;       // of q . k, beside the attention_scale of all layers
};

/// A selective state space (Mamba 2).
struct StateSpaceConfig {
  std::int64_t heads = 0, head_dim = 0;  // of what flows through it
  std::int64_t groups = 0, size = 0;     // heads of a group share what is read and written
  std::int64_t taps = 0;                 // rows that the convolution before it sees
  bool bias = false, convolution_bias = false;
  float least_step = 0, most_step = 0;

  std::int64_t inner() const { return heads * head_dim; }
  std::int64_t convolved() const { return inner() + 2 * groups * size; }
};

/// A text model's config.json (or `text_config`).
struct DecoderConfig {
  std::int64_t hidden_size = 0, intermediate_size = 0 /* 0: layers have no MLP */, layers = 0,
               heads = 0, kv_heads = 0, head_dim = 0, vocab_size = 0;
  std::int64_t max_positions = 0;
  bool tied = false;  // the head is the token table, as far as this config says

  kernels::NormKind norm;
  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  bool k_bias = true;       // where q and v have biases
  bool transposed = false;  // the layers' matrices are stored as [in, out]
  kernels::Activation activation = kernels::Activation::silu;

  bool bidirectional = false;  // a prompt's rows see each other both ways: for families to arrange

  float embedding_scale = 1;    // of word rows; other rows come as they are
  float attention_scale = 0;    // of q . k
  float attention_softcap = 0;  // 0: none
  float logit_softcap = 0;      // 0: none

  RopeFrequencies rope;
  std::optional<RopeFrequencies> sliding_rope;  // of sliding layers, where they turn otherwise
  std::int64_t sliding_window = 0;              // keys, a row's own included; 0: no layer slides
  std::vector<DecoderLayerConfig> layer;        // [layers]
  std::int64_t taps = 0;                        // rows that a short convolution sees
  bool convolution_bias = false;
  StateSpaceConfig state_space;  // of layers that have one
  DecoderNames names;

  /// Reads the config of the model type that it names, `otherwise` where it names none. Missing
  /// keys mean what they mean to transformers' config class of that type. ModelError for an unknown
  /// type and for sizes that do not describe a decoder.
  static DecoderConfig from_json(const Json& text_config, std::string_view otherwise = "llama");

  /// Axes of the positions that rows are turned by: 1, or 3 (time, height, width).
  std::int64_t position_axes() const;
  std::int64_t layers_of(Mixer mixer) const;
  /// Whether sequences keep more than keys and values.
  bool keeps_state() const { return layers_of(Mixer::attention) < layers; }
  bool gated() const { return !names.gate.empty() || !names.gate_up.empty(); }
  /// Multiplications of one row by the weights of all layers.
  std::int64_t row_macs() const;
  /// Scratch numbers of one row in a forward pass, x itself aside.
  std::int64_t scratch_floats() const;
};

}  // namespace chiasm::language
