#include <string>

#include "core/error.h"
#include "vision/qwen_vision.h"

namespace chiasm::vision {

namespace {

/// What the config classes of the three take for keys that are missing.
struct Defaults {
  std::int64_t depth, width, heads, patch, out;
  std::string_view activation;
};

Defaults defaults(std::string_view family) {
  if (family == "qwen2_vl") return {32, 1280, 16, 14, 3584, "quick_gelu"};
  if (family == "qwen2_5_vl") return {32, 3584, 16, 14, 3584, "silu"};
  return {27, 1152, 16, 16, 3584, "gelu_pytorch_tanh"};
}

void check(const Json& config, const QwenVisionConfig& c) {
  const auto in = [](std::int64_t value, std::int64_t least, std::int64_t most) {
    return value >= least && value <= most;
  };
  const auto& b = c.blocks;
  const bool possible = in(b.hidden_size, 1, 1 << 16) && in(b.intermediate_size, 1, 1 << 20) &&
                        in(b.layers, 1, 1 << 12) && in(b.heads, 1, b.hidden_size) &&
                        in(c.patch.size, 1, 1024) && in(c.patch.frames, 1, 16) &&
                        in(c.patch.merge, 1, 16) && in(c.out_hidden_size, 1, 1 << 20) &&
                        config.integer("in_channels", config.integer("in_chans", 3)) == 3;
  if (!possible || b.hidden_size % b.heads != 0 || b.hidden_size / b.heads % 4 != 0) {
    fail<ModelError>(config.where(), ": not an encoder: hidden size ", b.hidden_size, ", ", b.heads,
                     " heads (of a multiple of 4), ", b.layers, " layers, patches of ",
                     c.patch.size, " pixels, merged by ", c.patch.merge);
  }
}

std::vector<std::int64_t> layers_of(const Json& config, std::string_view key,
                                    const std::vector<std::int64_t>& otherwise,
                                    std::int64_t depth) {
  std::vector<std::int64_t> layers = config.has(key) ? config[key].integers() : otherwise;
  for (const std::int64_t layer : layers) {
    if (layer < 0 || (config.has(key) && layer >= depth)) {
      fail<ModelError>(config[key].where(), ": layer ", layer, " of ", depth);
    }
  }
  return layers;
}

/// The side of the square table that `num_position_embeddings` counts.
std::int64_t table_side(const Json& config) {
  const std::int64_t count = config.integer("num_position_embeddings", 2304);
  std::int64_t side = 1;
  while (side * side < count && side < 1024) side++;
  if (side * side != count) {
    fail<ModelError>(config.where(), ": num_position_embeddings ", count, " is not a square");
  }
  return side;
}

}  // namespace

QwenVisionConfig QwenVisionConfig::from_json(const Json& config, std::string_view family) {
  const Defaults d = defaults(family);
  const bool second = family == "qwen2_vl", windows = family == "qwen2_5_vl";
  QwenVisionConfig c;
  auto& b = c.blocks;
  b.hidden_size = config.integer(second ? "embed_dim" : "hidden_size", d.width);
  b.intermediate_size = second ? b.hidden_size * config.integer("mlp_ratio", 4)
                               : config.integer("intermediate_size", windows ? 3420 : 4304);
  b.layers = config.integer("depth", d.depth);
  b.heads = config.integer("num_heads", d.heads);
  b.activation = kernels::activation_from_name(config.str("hidden_act", d.activation));
  b.norm = {windows ? kernels::NormKind::rms : kernels::NormKind::layer, 1e-6f};
  b.gated = windows;
  c.layer = {.norm1 = "norm1", .norm2 = "norm2", .attention = "attn", .out = "proj", .qkv = "qkv"};
  if (windows) {
    c.layer.gate = "gate_proj";
    c.layer.up = "up_proj";
    c.layer.down = "down_proj";
  } else if (!second) {
    c.layer.up = "linear_fc1";
    c.layer.down = "linear_fc2";
  }
  c.patch = {config.integer("patch_size", d.patch), config.integer("temporal_patch_size", 2),
             config.integer("spatial_merge_size", 2)};
  c.out_hidden_size = config.integer(second ? "hidden_size" : "out_hidden_size", d.out);
  if (config.has("rope_parameters")) {
    c.rope_theta = config["rope_parameters"].number("rope_theta", c.rope_theta);
  }
  check(config, c);
  if (windows) {
    c.window = config.integer("window_size", 112) / c.patch.merge / c.patch.size;
    if (c.window < 1) {
      fail<ModelError>(config.where(), ": window_size is less than a token's ",
                       c.patch.merge * c.patch.size, " pixels");
    }
    c.full_layers = layers_of(config, "fullatt_block_indexes", {7, 15, 23, 31}, b.layers);
  } else if (!second) {
    c.patch_bias = true;
    c.position_side = table_side(config);
    c.deep_layers = layers_of(config, "deepstack_visual_indexes", {8, 16, 24}, b.layers);
  }
  return c;
}

}  // namespace chiasm::vision
