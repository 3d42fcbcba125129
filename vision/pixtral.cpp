#include "vision/pixtral.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/rope.h"
#include "vision/tile_patches.h"

namespace chiasm::vision {

namespace {

constexpr float kEps = 1e-5f;  // not in the config

constexpr TransformerNames kNames{.norm1 = "attention_norm",
                                  .norm2 = "ffn_norm",
                                  .attention = "attention",
                                  .out = "o_proj",
                                  .mlp = "feed_forward",
                                  .up = "up_proj",
                                  .down = "down_proj",
                                  .gate = "gate_proj"};

double theta(const Json& config) {
  const double old = config.number("rope_theta", 10000);
  return config.has("rope_parameters") ? config["rope_parameters"].number("rope_theta", old) : old;
}

}  // namespace

PixtralConfig PixtralConfig::from_json(const Json& config) {
  const std::string type = config.str("model_type", "pixtral");
  if (type != "pixtral") {
    fail<ModelError>(config.where(), ": vision encoder \"", type,
                     "\" is not supported here; supported is: pixtral");
  }
  PixtralConfig c;
  c.blocks = {.hidden_size = config.integer("hidden_size", 1024),
              .intermediate_size = config.integer("intermediate_size", 4096),
              .layers = config.integer("num_hidden_layers", 24),
              .heads = config.integer("num_attention_heads", 16),
              .activation = kernels::activation_from_name(config.str("hidden_act", "gelu")),
              .norm = {kernels::NormKind::rms, kEps},
              .qkv_bias = false,
              .out_bias = false,
              .mlp_bias = false,
              .gated = true};
  c.image_size = config.integer("image_size", 1024);
  c.patch_size = config.integer("patch_size", 16);
  c.rope_theta = theta(config);
  const auto within = [](std::int64_t size, std::int64_t most) { return size > 0 && size <= most; };
  const TransformerConfig& b = c.blocks;
  const bool sane = within(b.hidden_size, 1 << 16) && within(b.heads, b.hidden_size) &&
                    b.hidden_size % (4 * b.heads) == 0 && b.hidden_size / b.heads <= 256 &&
                    within(b.layers, 1 << 12) && within(b.intermediate_size, 1 << 20) &&
                    within(c.image_size, 1 << 14) && within(c.patch_size, c.image_size) &&
                    config.integer("num_channels", 3) == 3 && c.rope_theta > 0;
  if (!sane) {
    fail<ModelError>(config.where(),
                     ": these sizes do not describe a Pixtral encoder: ", "hidden_size ",
                     b.hidden_size, ", intermediate_size ", b.intermediate_size,
                     ", num_hidden_layers ", b.layers, ", num_attention_heads ", b.heads,
                     ", image_size ", c.image_size, ", patch_size ", c.patch_size);
  }
  return c;
}

PixtralEncoder::PixtralEncoder(const Context& ctx, const PixtralConfig& c, const Weights& w,
                               kernels::WeightFormat format, kernels::WeightFormat patch_format)
    : config_(c),
      patch_embedding_(kernels::LinearLayer::from_convolution(
          ctx, w.scope("patch_conv"), {c.blocks.hidden_size, 3, c.patch_size, c.patch_size}, false,
          patch_format)),
      first_norm_(w, "ln_pre", c.blocks.hidden_size, c.blocks.norm),
      layers_(ctx, c.blocks, kNames, w.scope("transformer.layers"), format) {
  // Frequencies take turns: even ones are for rows, odd ones for columns.
  const std::int64_t dim = c.blocks.hidden_size / c.blocks.heads;
  for (std::uint8_t axis = 0; axis < 2; axis++) {
    for (std::int64_t i = axis; i < dim / 2; i += 2) {
      inv_freq_.push_back(1.0f / std::pow(float(c.rope_theta), float(2 * i) / float(dim)));
      axis_.push_back(axis);
    }
  }
}

std::int64_t PixtralEncoder::scratch_per_row() const {
  const std::int64_t dim = config_.blocks.hidden_size / config_.blocks.heads;
  return std::max(layers_.scratch_per_row() + dim, 2 * patch_values());
}

std::int64_t PixtralEncoder::tile_macs(std::int64_t patches) const {
  return patches * (patch_values() * config_.blocks.hidden_size + layers_.macs_per_row(patches));
}

void PixtralEncoder::forward(const Context& ctx, std::span<const VitTile> tiles, Arena& arena,
                             TensorView<float> out) const {
  const std::int64_t patch = config_.patch_size;
  std::vector<std::int32_t> down, across;  // places of all patches
  AttentionPattern pattern;
  {
    Arena::Frame frame(arena);
    const auto all = arena.floats({out.rows(), patch_values()}, "patches");
    for (const auto& [picture, index] : tiles) {
      const Tile& tile = picture->tile(index);
      if (tile.width % patch != 0 || tile.height % patch != 0 || tile.rgb.empty()) {
        fail<ShapeError>("tile: ", tile.height, " x ", tile.width,
                         " pixels, expected multiples of ", patch);
      }
      const std::int64_t rows = tile.height / patch, cols = tile.width / patch;
      tile_patches(ctx, *picture, index, patch, arena,
                   all.slice_rows(std::int64_t(down.size()), rows * cols));
      for (std::int64_t i = 0; i < rows * cols; i++) {
        down.push_back(std::int32_t(i / cols));
        across.push_back(std::int32_t(i % cols));
      }
      pattern.add(rows * cols, rows * cols);
    }
    out.expect({std::int64_t(down.size()), config_.blocks.hidden_size});
    patch_embedding_(ctx, all, out);
  }
  first_norm_(ctx, out, out);
  ctx.show("vision.embed", out);
  std::vector<std::int32_t> positions = std::move(down);
  positions.insert(positions.end(), across.begin(), across.end());
  Arena::Frame frame(arena);
  const auto half = std::int64_t(inv_freq_.size());
  const auto cosine = arena.floats({out.rows(), half}, "cosine");
  const auto sine = arena.floats({out.rows(), half}, "sine");
  kernels::rotary_table(ctx, positions, inv_freq_, axis_, 1.0f, cosine, sine);
  TransformerInput input;
  input.pattern = [&](std::int64_t) -> const AttentionPattern& { return pattern; };
  input.cosine = cosine;
  input.sine = sine;
  layers_.forward(ctx, input, arena, out);
}

}  // namespace chiasm::vision
