#include "vision/siglip.h"

#include <algorithm>
#include <cmath>

#include "kernels/embed.h"
#include "vision/square_side.h"

namespace chiasm::vision {

SiglipConfig SiglipConfig::from_json(const Json& config, const SiglipConfig& defaults) {
  SiglipConfig c{
      .hidden_size = config.integer("hidden_size", defaults.hidden_size),
      .intermediate_size = config.integer("intermediate_size", defaults.intermediate_size),
      .layers = config.integer("num_hidden_layers", defaults.layers),
      .heads = config.integer("num_attention_heads", defaults.heads),
      .channels = config.integer("num_channels", defaults.channels),
      .image_size = square_side(config, "image_size", defaults.image_size),
      .patch_size = square_side(config, "patch_size", defaults.patch_size),
      .layer_norm_eps = float(config.number("layer_norm_eps", double(defaults.layer_norm_eps))),
      .activation = kernels::activation_from_name(config.str("hidden_act", "gelu_pytorch_tanh")),
  };
  // Upper bounds far over any published model keep products of sizes from overflowing.
  const auto within = [](std::int64_t size, std::int64_t most) { return size > 0 && size <= most; };
  const bool sane = within(c.hidden_size, 1 << 16) && within(c.heads, c.hidden_size) &&
                    c.hidden_size % c.heads == 0 && c.hidden_size / c.heads <= 256 &&
                    within(c.layers, 1 << 12) && within(c.intermediate_size, 1 << 20) &&
                    within(c.image_size, 1 << 14) && within(c.patch_size, c.image_size) &&
                    c.channels == 3;
  if (!sane) {
    fail<ModelError>(
        config.where(), ": these sizes do not describe a vision transformer: ", "hidden_size ",
        c.hidden_size, ", intermediate_size ", c.intermediate_size, ", num_hidden_layers ",
        c.layers, ", num_attention_heads ", c.heads, ", num_channels ", c.channels, ", image_size ",
        c.image_size, ", patch_size ", c.patch_size);
  }
  return c;
}

namespace {

/// torch.arange(1/side, 1, 1/side) in float32, bit for bit. Its CPU kernel fills pairs of 8-wide
/// vectors, each from a float32-rounded base plus k double steps, and the rest one by one in
/// double; a patch on a boundary falls on either side by this rounding.
std::vector<float> boundaries(std::int64_t side) {
  constexpr std::int64_t kVector = 8;
  const double step = 1.0 / double(side);
  const auto count = std::int64_t(std::ceil((1.0 - step) / step));
  const std::int64_t vectorised = count / (2 * kVector) * (2 * kVector);
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; i++) {
    const std::int64_t first = i / kVector * kVector;
    const double base = double(float(step + step * double(first)));
    out.push_back(i < vectorised ? float(base + step * double(i - first))
                                 : float(step + step * double(i)));
  }
  return out;
}

std::vector<std::int32_t> buckets(std::int64_t count, std::span<const float> bounds) {
  std::vector<std::int32_t> out;
  const float step = 1.0f / float(count);
  for (std::int64_t i = 0; i < count; i++) {
    const float coordinate = std::min(float(i) * step, float(1.0 - 1e-6));
    const auto at = std::upper_bound(bounds.begin(), bounds.end(), coordinate);
    out.push_back(std::int32_t(at - bounds.begin()));
  }
  return out;
}

TransformerConfig layers_of(const SiglipConfig& c) {
  return {.hidden_size = c.hidden_size,
          .intermediate_size = c.intermediate_size,
          .layers = c.layers,
          .heads = c.heads,
          .activation = c.activation,
          .norm = {kernels::NormKind::layer, c.layer_norm_eps}};
}

}  // namespace

std::vector<std::int32_t> bucketed_positions(std::int64_t rows, std::int64_t cols,
                                             std::int64_t valid_rows, std::int64_t valid_cols,
                                             std::int64_t side) {
  const std::vector<float> bounds = boundaries(side);
  const auto row_buckets = buckets(valid_rows, bounds);
  const auto col_buckets = buckets(valid_cols, bounds);
  std::vector<std::int32_t> ids(std::size_t(rows * cols), 0);
  for (std::int64_t i = 0; i < valid_rows; i++) {
    for (std::int64_t j = 0; j < valid_cols; j++) {
      ids[std::size_t(i * cols + j)] =
          std::int32_t(row_buckets[std::size_t(i)] * side) + col_buckets[std::size_t(j)];
    }
  }
  return ids;
}

SiglipEncoder::SiglipEncoder(const Context& ctx, const SiglipConfig& c, const Weights& w,
                             kernels::WeightFormat format, kernels::WeightFormat patch_format)
    : config_(c),
      patch_embedding_(kernels::LinearLayer::from_convolution(
          ctx, w.scope("embeddings.patch_embedding"),
          {c.hidden_size, c.channels, c.patch_size, c.patch_size}, true, patch_format)),
      position_embedding_(
          w.floats("embeddings.position_embedding.weight", {c.side() * c.side(), c.hidden_size})),
      layers_(ctx, layers_of(c), TransformerNames{}, w.scope("encoder.layers"), format),
      norm_(w, "post_layernorm", c.hidden_size, {kernels::NormKind::layer, c.layer_norm_eps}) {}

std::size_t SiglipEncoder::bytes() const {
  return patch_embedding_.bytes() + position_embedding_.bytes() + layers_.bytes() + norm_.bytes();
}

/// The packed batch: where each tile's patches lie and which keys its rows see.
struct SiglipEncoder::Packed {
  AttentionPattern pattern;
  // Row of each patch: patches of a padded tile are packed real ones first, so that the visible
  // keys are one range. Empty when no tile is padded.
  std::vector<std::int32_t> row_of_patch, patch_of_row;
};

SiglipEncoder::Packed SiglipEncoder::embed(const Context& ctx, std::span<const EncoderTile> tiles,
                                           Arena& arena, TensorView<float> x) const {
  const std::int64_t patch = config_.patch_size;
  const std::int64_t width = config_.channels * patch * patch;
  Arena::Frame frame(arena);
  const TensorView<float> patches = arena.floats({x.rows(), width}, "patches");
  std::vector<std::int32_t> positions;
  Packed packed;
  std::vector<std::int32_t> order;
  bool padded = false;
  std::int64_t begin = 0;
  for (const EncoderTile& tile : tiles) {
    const std::int64_t rows = tile.pixels.shape()[1] / patch, cols = tile.pixels.shape()[2] / patch;
    const std::int64_t count = rows * cols;
    // A patch is real when any of its pixels is.
    const std::int64_t valid_rows = (tile.valid_height + patch - 1) / patch;
    const std::int64_t valid_cols = (tile.valid_width + patch - 1) / patch;
    const std::int64_t valid = valid_rows * valid_cols;
    kernels::extract_patches(ctx, tile.pixels, patch, patches.slice_rows(begin, count));
    const auto ids = bucketed_positions(rows, cols, valid_rows, valid_cols, config_.side());
    positions.insert(positions.end(), ids.begin(), ids.end());
    packed.pattern.add(count, valid);
    padded = padded || valid != count;
    std::int64_t real = begin, padding = begin + valid;
    for (std::int64_t i = 0; i < count; i++) {
      const bool is_real = i / cols < valid_rows && i % cols < valid_cols;
      order.push_back(std::int32_t(is_real ? real++ : padding++));
    }
    begin += count;
  }
  patch_embedding_(ctx, patches, x);
  kernels::add_rows(ctx, position_embedding_.view<float>(), positions, x);
  if (!padded) return packed;
  packed.patch_of_row.resize(order.size());
  for (std::size_t i = 0; i < order.size(); i++) {
    packed.patch_of_row[std::size_t(order[i])] = std::int32_t(i);
  }
  packed.row_of_patch = std::move(order);
  return packed;
}

void SiglipEncoder::forward(const Context& ctx, std::span<const EncoderTile> tiles, Arena& arena,
                            TensorView<float> out) const {
  const std::int64_t patch = config_.patch_size;
  std::int64_t count = 0;
  for (const EncoderTile& tile : tiles) {
    const std::int64_t height = tile.pixels.shape()[1], width = tile.pixels.shape()[2];
    tile.pixels.expect({config_.channels, height, width});
    if (height % patch != 0 || width % patch != 0 || height == 0 || width == 0) {
      fail<ShapeError>("tile: ", height, " x ", width, " pixels, expected multiples of ", patch);
    }
    if (tile.valid_height < 1 || tile.valid_height > height || tile.valid_width < 1 ||
        tile.valid_width > width) {
      fail<ShapeError>("tile: ", tile.valid_height, " x ", tile.valid_width, " real pixels of ",
                       height, " x ", width);
    }
    count += height / patch * (width / patch);
  }
  out.expect({count, config_.hidden_size});

  Arena::Frame frame(arena);
  const TensorView<float> x = arena.floats({count, config_.hidden_size}, "x");
  Packed packed = embed(ctx, tiles, arena, x);
  ctx.show("vision.embed", x);
  if (!packed.row_of_patch.empty()) {
    kernels::move_rows(ctx, x, packed.patch_of_row, out);  // `out` serves as the copy
    kernels::move_rows(ctx, out, {}, x);
  }
  TransformerInput input;
  input.pattern = [&](std::int64_t) -> const AttentionPattern& { return packed.pattern; };
  layers_.forward(ctx, input, arena, x);
  norm_(ctx, x, x);
  kernels::move_rows(ctx, x, packed.row_of_patch, out);
  ctx.show("vision.out", out);
}

}  // namespace chiasm::vision
