#include "vision/vit.h"

#include <algorithm>
#include <numeric>

#include "kernels/embed.h"
#include "vision/tile_patches.h"

namespace chiasm::vision {

VitEncoder::VitEncoder(const Context& ctx, const VitConfig& c, const Weights& w,
                       kernels::WeightFormat format, kernels::WeightFormat patch_format)
    : config_(c),
      patch_embedding_(kernels::LinearLayer::from_convolution(
          ctx, w.scope(c.patch_embedding), {c.blocks.hidden_size, 3, c.patch_size, c.patch_size},
          c.patch_bias, patch_format)) {
  const std::int64_t dim = c.blocks.hidden_size;
  if (c.class_token) {
    class_embedding_ = w.floats(c.class_embedding, c.leading_one ? Shape{1, 1, dim} : Shape{dim});
  }
  position_embedding_ = w.floats(c.position_embedding,
                                 c.leading_one ? Shape{1, c.rows(), dim} : Shape{c.rows(), dim});
  if (c.pre_norm) pre_norm_ = {w, c.pre_norm_name, dim, c.blocks.norm};
  layers_ = Transformer(ctx, c.blocks, c.layer, w.scope(c.layers), format);
  if (c.post_norm) {  // a layer norm even where the layers have another
    post_norm_ = {w, c.post_norm_name, dim, {kernels::NormKind::layer, c.blocks.norm.eps}};
  }
}

std::size_t VitEncoder::bytes() const {
  return patch_embedding_.bytes() + class_embedding_.bytes() + position_embedding_.bytes() +
         pre_norm_.bytes() + layers_.bytes() + post_norm_.bytes();
}

std::int64_t VitEncoder::scratch_per_row() const {
  const std::int64_t pixels = 3 * config_.patch_size * config_.patch_size;
  return std::max(layers_.scratch_per_row(), config_.blocks.hidden_size + 2 * pixels);
}

std::int64_t VitEncoder::tile_macs() const {
  const std::int64_t pixels = 3 * config_.image_size * config_.image_size;
  return pixels * config_.blocks.hidden_size +
         config_.rows() * layers_.macs_per_row(config_.rows());
}

// x: [tiles * rows, hidden].
void VitEncoder::embed(const Context& ctx, std::span<const VitTile> tiles, Arena& arena,
                       TensorView<float> x) const {
  const std::int64_t size = config_.image_size, patch = config_.patch_size, dim = x.cols();
  const std::int64_t patches = config_.side() * config_.side(), rows = config_.rows();
  const std::int64_t width = 3 * patch * patch, lead = rows - patches;
  Arena::Frame frame(arena);
  const auto count = std::int64_t(tiles.size());
  const auto all = arena.floats({count * patches, width}, "patches");
  for (std::int64_t i = 0; i < count; i++) {
    const auto& [picture, index] = tiles[std::size_t(i)];
    const Tile& tile = picture->tile(index);
    if (tile.width != size || tile.height != size) {
      fail<ShapeError>("tile: ", tile.height, " x ", tile.width, " pixels, expected ", size, " x ",
                       size);
    }
    tile_patches(ctx, *picture, index, patch, arena, all.slice_rows(i * patches, patches));
  }
  const TensorView<const float> positions(position_embedding_.view<float>().data(), {rows, dim},
                                          "positions");
  std::vector<std::int32_t> ids(std::size_t(x.rows()));
  for (std::int64_t i = 0; i < count; i++) {
    const auto own = x.slice_rows(i * rows, rows);
    if (lead > 0) {
      const std::int32_t its_own = 0;
      kernels::copy_rows(ctx, {class_embedding_.view<float>().data(), {1, dim}}, {&its_own, 1},
                         own.slice_rows(0, 1));
    }
    patch_embedding_(ctx, all.slice_rows(i * patches, patches), own.slice_rows(lead, patches));
    std::iota(ids.begin() + i * rows, ids.begin() + (i + 1) * rows, 0);
  }
  kernels::add_rows(ctx, positions, ids, x);
}

void VitEncoder::forward(const Context& ctx, std::span<const VitTile> tiles, Arena& arena,
                         TensorView<float> out, const AfterLayer& after_layer) const {
  const auto count = std::int64_t(tiles.size());
  out.expect({count * config_.rows(), config_.blocks.hidden_size});
  embed(ctx, tiles, arena, out);
  if (config_.pre_norm) pre_norm_(ctx, out, out);
  ctx.show("vision.embed", out);
  AttentionPattern pattern;
  for (std::int64_t i = 0; i < count; i++) pattern.add(config_.rows(), config_.rows());
  TransformerInput input;
  input.pattern = [&](std::int64_t) -> const AttentionPattern& { return pattern; };
  input.after_layer = after_layer;
  layers_.forward(ctx, input, arena, out);
  if (config_.post_norm) post_norm_(ctx, out, out);
}

}  // namespace chiasm::vision
