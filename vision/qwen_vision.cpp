#include "vision/qwen_vision.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/host_rows.h"
#include "kernels/activation.h"
#include "kernels/embed.h"
#include "kernels/rope.h"

namespace chiasm::vision {

namespace {

/// Row and column of patch `index` of a grid whose blocks of merge x merge patches stand together.
struct Place {
  std::int64_t row, col;
};
Place place(std::int64_t index, std::int64_t cols, std::int64_t merge) {
  const std::int64_t block = index / (merge * merge), inner = index % (merge * merge);
  const std::int64_t wide = cols / merge;
  return {block / wide * merge + inner / merge, block % wide * merge + inner % merge};
}

/// Calls visit(token) for all tokens of a grid of rows x cols, window by window, and
/// ended(count) after each window.
template <class Visit, class Ended>
void each_window(std::int64_t rows, std::int64_t cols, std::int64_t side, const Visit& visit,
                 const Ended& ended) {
  for (std::int64_t top = 0; top < rows; top += side) {
    for (std::int64_t left = 0; left < cols; left += side) {
      const std::int64_t bottom = std::min(rows, top + side), right = std::min(cols, left + side);
      for (std::int64_t y = top; y < bottom; y++) {
        for (std::int64_t x = left; x < right; x++) visit(y * cols + x);
      }
      ended((bottom - top) * (right - left));
    }
  }
}

/// Where a grid's row or column `index` of `count` lies between two of a table's `side`: the
/// corners of both agree.
struct Between {
  std::int64_t low, high;
  float low_weight, high_weight;
};
Between between(std::int64_t index, std::int64_t count, std::int64_t side) {
  const float at = float(index) * float(side - 1) / float(std::max<std::int64_t>(count - 1, 1));
  const float floor = std::floor(at);
  const auto low = std::int64_t(floor);
  return {std::min(low, side - 1), std::min(low + 1, side - 1), 1 - (at - floor),
          1 - std::fabs(at - floor - 1)};
}

}  // namespace

QwenVisionEncoder::QwenVisionEncoder(const Context& ctx, const QwenVisionConfig& c,
                                     const Weights& w, kernels::WeightFormat format,
                                     kernels::WeightFormat patch_format)
    : config_(c),
      patch_embedding_(kernels::LinearLayer::from_convolution(
          ctx, w.scope("patch_embed.proj"),
          {c.blocks.hidden_size, 3, c.patch.frames, c.patch.size, c.patch.size}, c.patch_bias,
          patch_format)),
      layers_(ctx, c.blocks, c.layer, w.scope("blocks"), format) {
  if (c.position_side > 0) {
    positions_ =
        w.floats("pos_embed.weight", {c.position_side * c.position_side, c.blocks.hidden_size});
  }
}

std::size_t QwenVisionEncoder::bytes() const {
  return patch_embedding_.bytes() + positions_.bytes() + layers_.bytes();
}

std::int64_t QwenVisionEncoder::scratch_per_row() const {
  const std::int64_t dim = config_.blocks.hidden_size;
  return std::max(layers_.scratch_per_row(), dim + config_.patch.values()) +
         dim / config_.blocks.heads;
}

std::int64_t QwenVisionEncoder::macs(std::int64_t patches) const {
  const std::int64_t dim = config_.blocks.hidden_size, side = config_.window * config_.patch.merge;
  const auto all = config_.blocks.layers, full = std::int64_t(config_.full_layers.size());
  const std::int64_t windowed = config_.window > 0 ? all - full : 0;
  const std::int64_t unseen = std::max<std::int64_t>(patches - side * side, 0);  // by a window
  return patches * (config_.patch.values() * dim + layers_.macs_per_row(patches) -
                    windowed * 2 * unseen * dim);
}

PatchGrid QwenVisionEncoder::grid(const QwenStep& step) const {
  const Tile& tile = step.picture->tile(0);
  return {1, tile.height / config_.patch.size, tile.width / config_.patch.size};
}

std::vector<std::int64_t> QwenVisionEncoder::token_order(std::span<const QwenStep> steps) const {
  const std::int64_t merge = config_.patch.merge;
  std::vector<std::int64_t> order;
  for (const QwenStep& step : steps) {
    const PatchGrid g = grid(step);
    const auto begin = std::int64_t(order.size());
    if (config_.window == 0) {
      order.resize(std::size_t(begin + g.patches() / (merge * merge)));
      std::iota(order.begin() + begin, order.end(), begin);
    } else {
      each_window(
          g.h / merge, g.w / merge, config_.window,
          [&](std::int64_t token) { order.push_back(begin + token); }, [](std::int64_t) {});
    }
  }
  return order;
}

/// The learned positions, resampled to the grid. x: [patches of one step, hidden].
void QwenVisionEncoder::write_positions(const PatchGrid& g, TensorView<float> x) const {
  const std::int64_t side = config_.position_side, dim = x.cols();
  const auto table = positions_.view<float>();
  for (std::int64_t i = 0; i < x.rows(); i++) {
    const Place p = place(i, g.w, config_.patch.merge);
    const Between v = between(p.row, g.h, side), h = between(p.col, g.w, side);
    const float* corners[4] = {table.row(v.low * side + h.low), table.row(v.low * side + h.high),
                               table.row(v.high * side + h.low), table.row(v.high * side + h.high)};
    const float weights[4] = {v.low_weight * h.low_weight, v.low_weight * h.high_weight,
                              v.high_weight * h.low_weight, v.high_weight * h.high_weight};
    float* to = x.row(i);
    for (std::int64_t d = 0; d < dim; d++) {
      float sum = 0;
      for (int corner = 0; corner < 4; corner++) sum += corners[corner][d] * weights[corner];
      to[d] = sum;
    }
  }
}

/// x: [patches of all steps, hidden], in `order`.
void QwenVisionEncoder::embed(const Context& ctx, std::span<const QwenStep> steps,
                              std::span<const std::int64_t> order, Arena& arena,
                              TensorView<float> x) const {
  const std::int64_t unit = config_.patch.merge * config_.patch.merge, dim = x.cols();
  Arena::Frame frame(arena);
  const auto patches = arena.floats({x.rows(), config_.patch.values()}, "patches");
  const auto embedded = arena.floats({x.rows(), dim}, "embedded");
  const bool learned = config_.position_side > 0;
  HostRows written(ctx, patches);
  std::optional<HostRows> positions;
  if (learned) positions.emplace(ctx, x);  // it has room until its own rows come
  std::int64_t row = 0;
  for (const QwenStep& step : steps) {
    const PatchGrid g = grid(step);
    write_patch_rows(*step.picture, config_.patch, step.step, written.view().row(row));
    if (learned) write_positions(g, positions->view().slice_rows(row, g.patches()));
    row += g.patches();
  }
  written.send();
  patch_embedding_(ctx, patches, embedded);
  if (learned) {
    positions->send();
    kernels::add(ctx, x, embedded);
  }
  std::vector<std::int32_t> from;
  for (const std::int64_t token : order) {
    for (std::int64_t i = 0; i < unit; i++) from.push_back(std::int32_t(token * unit + i));
  }
  kernels::move_rows(ctx, embedded, from, x);
}

/// Rotary tables: the first half of a head's pairs turns by the row, the second by the column.
void QwenVisionEncoder::turn(const Context& ctx, std::span<const QwenStep> steps,
                             std::span<const std::int64_t> order, TensorView<float> cosine,
                             TensorView<float> sine) const {
  const std::int64_t merge = config_.patch.merge, unit = merge * merge;
  const std::int64_t half = cosine.cols(), quarter = half / 2, rows = cosine.rows();
  std::vector<Place> places;  // in reading order of tokens
  for (const QwenStep& step : steps) {
    const PatchGrid g = grid(step);
    for (std::int64_t i = 0; i < g.patches(); i++) places.push_back(place(i, g.w, merge));
  }
  std::vector<std::int32_t> positions(std::size_t(2 * rows));
  for (std::int64_t i = 0; i < rows; i++) {
    const Place p = places[std::size_t(order[std::size_t(i / unit)] * unit + i % unit)];
    positions[std::size_t(i)] = std::int32_t(p.row);
    positions[std::size_t(rows + i)] = std::int32_t(p.col);
  }
  std::vector<float> inv_freq;
  std::vector<std::uint8_t> axis;
  for (std::int64_t i = 0; i < half; i++) {
    const float power = float(2 * (i % quarter)) / float(half);
    inv_freq.push_back(1.0f / std::pow(float(config_.rope_theta), power));
    axis.push_back(i < quarter ? 0 : 1);
  }
  kernels::rotary_table(ctx, positions, inv_freq, axis, 1, cosine, sine);
}

void QwenVisionEncoder::forward(const Context& ctx, std::span<const QwenStep> steps, Arena& arena,
                                TensorView<float> out, const AfterLayer& after_layer) const {
  const auto& c = config_;
  const std::int64_t unit = c.patch.merge * c.patch.merge;
  const std::int64_t half = c.blocks.hidden_size / c.blocks.heads / 2;
  const std::vector<std::int64_t> order = token_order(steps);
  out.expect({std::int64_t(order.size()) * unit, c.blocks.hidden_size});
  embed(ctx, steps, order, arena, out);
  ctx.show("vision.embed", out);
  AttentionPattern all, windows;
  for (const QwenStep& step : steps) {
    const PatchGrid g = grid(step);
    all.add(g.patches(), g.patches());
    if (c.window == 0) continue;
    each_window(
        g.h / c.patch.merge, g.w / c.patch.merge, c.window, [](std::int64_t) {},
        [&](std::int64_t tokens) { windows.add(tokens * unit, tokens * unit); });
  }
  Arena::Frame frame(arena);
  const auto cosine = arena.floats({out.rows(), half}, "cosine");
  const auto sine = arena.floats({out.rows(), half}, "sine");
  turn(ctx, steps, order, cosine, sine);
  TransformerInput input;
  input.cosine = cosine;
  input.sine = sine;
  input.after_layer = after_layer;
  input.pattern = [&](std::int64_t layer) -> const AttentionPattern& {
    const bool full = std::ranges::find(c.full_layers, layer) != c.full_layers.end();
    return c.window == 0 || full ? all : windows;
  };
  layers_.forward(ctx, input, arena, out);
}

}  // namespace chiasm::vision
