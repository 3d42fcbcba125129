#pragma once
/// Rotary frequencies from a config.json.
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace chiasm::language {

/// What rotary_table needs: one inverse frequency per pair of dimensions, which axis of the
/// positions turns it, and a factor on cos and sin.
struct RopeFrequencies {
  std::vector<float> inv_freq;     // [rotary dimensions / 2]
  std::vector<std::uint8_t> axis;  // likewise; empty: positions have one axis
  float attention_scaling = 1;
};

/// What a model type adds to the common form of a config.
struct RopeOptions {
  double theta = 10000;  // where the config has none
  /// Pairs for time, height and width where `mrope_section` is missing; none: one axis.
  std::optional<std::array<std::int64_t, 3>> sections = {};
  /// The pairs of the axes take turns, instead of lying in three sections.
  bool interleaved = false;
  /// For configs with frequencies of their own for "full_attention" and "sliding_attention": which.
  /// `rope_theta` and `rope_scaling` beside them are for full attention.
  std::string_view layer_type = "";
};

/// Reads transformers 5's `rope_parameters` or the older `rope_theta` and `rope_scaling`. Types:
/// default, linear, llama3; others are a ModelError naming them. Computed in float32 in the order
/// transformers' modeling_rope_utils computes, so that angles agree bit for bit.
/// Sections: Wang et al., 2024, arXiv:2409.12191 (M-RoPE); transformers' Qwen2VL and
/// Qwen3VLTextRotaryEmbedding.recomposition_frequencies.
RopeFrequencies rope_frequencies(const Json& text_config, std::int64_t head_dim,
                                 const RopeOptions& options = {});

}  // namespace chiasm::language
