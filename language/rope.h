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
  /// Sequences of more than `short_length` tokens are turned by these instead, all of their rows
  /// (longrope). Empty: there is no such difference.
  std::vector<float> long_inv_freq;
  std::int64_t short_length = 0;

  /// Whether a sequence of `length` tokens is turned by long_inv_freq.
  bool is_long(std::int64_t length) const {
    return !long_inv_freq.empty() && length > short_length;
  }
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
  std::int64_t max_positions = 2048;  // where the config does not say
  /// Of the context that a model was first trained with, where the config does not say and the
  /// model type has a default of its own; 0: as many as `max_positions`.
  std::int64_t original_positions = 0;
  bool yarn_is_long = false;  // Phi-3 calls longrope "su" or "yarn" too
};

/// Reads transformers 5's `rope_parameters` or the older `rope_theta` and `rope_scaling`. Types:
/// default, linear, llama3, yarn, longrope, `factors` of a GGUF file (its rope_freqs.weight: what
/// each frequency is divided by), and dynamic, which up to `max_position_embeddings`
/// tokens is the default; others are a ModelError naming them. Computed in float32 in the order
/// transformers' modeling_rope_utils computes, so that angles agree bit for bit. yarn: Peng et al.,
/// 2023, arXiv:2309.00071. longrope: Ding et al., 2024, arXiv:2402.13753. Sections: Wang et al.,
/// 2024, arXiv:2409.12191 (M-RoPE); transformers' Qwen2VL and
/// Qwen3VLTextRotaryEmbedding.recomposition_frequencies.
RopeFrequencies rope_frequencies(const Json& text_config, std::int64_t head_dim,
                                 const RopeOptions& options = {});

}  // namespace chiasm::language
