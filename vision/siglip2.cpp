#include "vision/siglip2.h"

#include <cmath>

#include "core/error.h"

namespace chiasm::vision {

Siglip2Config Siglip2Config::from_json(const Json& config) {
  const std::string type = config.str("model_type", "siglip2_vision_model");
  if (type != "siglip2_vision_model") {
    fail<ModelError>(config.where(), ": vision encoder \"", type,
                     "\" is not supported here; supported is: siglip2_vision_model");
  }
  Siglip2Config c;
  c.blocks = {
      .hidden_size = config.integer("hidden_size", 768),
      .intermediate_size = config.integer("intermediate_size", 3072),
      .layers = config.integer("num_hidden_layers", 12),
      .heads = config.integer("num_attention_heads", 12),
      .activation = kernels::activation_from_name(config.str("hidden_act", "gelu_pytorch_tanh")),
      .norm = {kernels::NormKind::layer, float(config.number("layer_norm_eps", 1e-6))}};
  c.patch_size = config.integer("patch_size", 16);
  const std::int64_t positions = config.integer("num_patches", 256);
  const auto within = [](std::int64_t size, std::int64_t most) { return size > 0 && size <= most; };
  const TransformerConfig& b = c.blocks;
  const bool sane = within(b.hidden_size, 1 << 16) && within(b.heads, b.hidden_size) &&
                    b.hidden_size % b.heads == 0 && b.hidden_size / b.heads <= 256 &&
                    within(b.layers, 1 << 12) && within(b.intermediate_size, 1 << 20) &&
                    within(c.patch_size, 1 << 10) && within(positions, 1 << 20) &&
                    config.integer("num_channels", 3) == 3;
  if (sane) c.position_side = std::llround(std::sqrt(double(positions)));
  if (!sane || c.position_side * c.position_side != positions) {
    fail<ModelError>(config.where(),
                     ": these sizes do not describe a SigLIP 2 encoder: ", "hidden_size ",
                     b.hidden_size, ", intermediate_size ", b.intermediate_size,
                     ", num_hidden_layers ", b.layers, ", num_attention_heads ", b.heads,
                     ", patch_size ", c.patch_size, ", num_patches ", positions, " (a square)");
  }
  return c;
}

Siglip2Encoder::Siglip2Encoder(const Context& ctx, const Siglip2Config& c, const Weights& w,
                               kernels::WeightFormat format, kernels::WeightFormat patch_format)
    : config_(c),
      patch_embedding_(ctx, w.scope("embeddings"), {{"patch_embedding", c.blocks.hidden_size}},
                       c.patch_values(), true, patch_format),
      positions_(w.floats("embeddings.position_embedding.weight",
                          {c.position_side * c.position_side, c.blocks.hidden_size})),
      layers_(ctx, c.blocks, TransformerNames{}, w.scope("encoder.layers"), format),
      norm_(w, "post_layernorm", c.blocks.hidden_size, c.blocks.norm) {}

std::size_t Siglip2Encoder::bytes() const {
  return patch_embedding_.bytes() + positions_.bytes() + layers_.bytes() + norm_.bytes();
}

std::int64_t Siglip2Encoder::macs(std::int64_t patches) const {
  return patches *
         (config_.patch_values() * config_.blocks.hidden_size + layers_.macs_per_row(patches));
}

void Siglip2Encoder::add_positions(std::span<const GridSize> grids, Arena& arena,
                                   TensorView<float> x) const {
  const GridSize table{config_.position_side, config_.position_side};
  std::int64_t row = 0;
  for (const GridSize& grid : grids) {
    Arena::Frame frame(arena);
    const auto resized = arena.floats({grid.height * grid.width, x.cols()}, "positions");
    resize_features_antialiased(positions_.view<float>(), table, grid, resized);
    for (std::int64_t i = 0; i < resized.rows(); i++, row++) {
      const float* position = resized.row(i);
      float* to = x.row(row);
      for (std::int64_t d = 0; d < x.cols(); d++) to[d] += position[d];
    }
  }
}

void Siglip2Encoder::forward(const Context& ctx, TensorView<const float> patches,
                             std::span<const GridSize> grids, Arena& arena,
                             TensorView<float> out) const {
  AttentionPattern pattern;
  std::int64_t rows = 0;
  for (const GridSize& grid : grids) {
    if (grid.height < 1 || grid.width < 1) {
      fail<ShapeError>("a grid of ", grid.height, " x ", grid.width, " patches");
    }
    pattern.add(grid.height * grid.width, grid.height * grid.width);
    rows += grid.height * grid.width;
  }
  patches.expect({rows, config_.patch_values()});
  out.expect({rows, config_.blocks.hidden_size});
  patch_embedding_(ctx, patches, out);
  add_positions(grids, arena, out);
  ctx.show("vision.embed", out);
  TransformerInput input;
  input.pattern = [&](std::int64_t) -> const AttentionPattern& { return pattern; };
  layers_.forward(ctx, input, arena, out);
  norm_(ctx, out, out);
}

}  // namespace chiasm::vision
