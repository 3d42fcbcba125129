#pragma once
/// Rotary frequencies from a config.json.
#include <vector>

#include "core/json.h"

namespace chiasm::language {

/// What rotary_table needs: one inverse frequency per pair of dimensions, and a factor on cos and
/// sin.
struct RopeFrequencies {
  std::vector<float> inv_freq;  // [rotary dimensions / 2]
  float attention_scaling = 1;
};

/// Reads transformers 5's `rope_parameters` or the older `rope_theta` and `rope_scaling`. Types:
/// default, linear, llama3; others are a ModelError naming them. Computed in float32 in the order
/// transformers' modeling_rope_utils computes, so that angles agree bit for bit.
RopeFrequencies rope_frequencies(const Json& text_config, std::int64_t head_dim);

}  // namespace chiasm::language
