#include "kernels/adapter.h"

#include <algorithm>
#include <utility>

namespace chiasm::kernels {

void Adapter::add(int layer, Part part) {
  layers_.resize(std::max(layers_.size(), std::size_t(layer) + 1));
  layers_[std::size_t(layer)].push_back(std::move(part));
}

std::span<const Adapter::Part> Adapter::parts(int layer) const {
  if (layer < 0 || std::size_t(layer) >= layers_.size()) return {};
  return layers_[std::size_t(layer)];
}

std::size_t Adapter::bytes() const {
  std::size_t total = 0;
  for (const auto& parts : layers_) {
    for (const Part& part : parts) total += part.down.bytes() + part.up.bytes();
  }
  return total;
}

std::int64_t Adapter::largest_rank() const {
  std::int64_t rank = 0;
  for (const auto& parts : layers_) {
    for (const Part& part : parts) rank = std::max(rank, part.down.out());
  }
  return rank;
}

bool is_adapted(const Context& ctx, int layer) {
  if (ctx.adapted == nullptr) return false;
  const AdaptedRows& rows = *ctx.adapted;
  if (rows.all != nullptr) return !rows.all->parts(layer).empty();
  return std::ranges::any_of(rows.runs,
                             [&](const auto& run) { return !run.adapter->parts(layer).empty(); });
}

void add_adapted(const Context& ctx, int layer, TensorView<const float> x, TensorView<float> y) {
  const AdaptedRows& rows = *ctx.adapted;
  const AdaptedRows::Run whole{0, x.rows(), rows.all};
  if (rows.all == nullptr && x.rows() != rows.rows) {
    fail<ShapeError>("adapters: ", x.rows(), " rows, expected the batch's ", rows.rows);
  }
  for (const auto& run : rows.all != nullptr ? std::span(&whole, 1) : std::span(rows.runs)) {
    for (const Adapter::Part& part : run.adapter->parts(layer)) {
      const Arena::Frame frame(*rows.arena);
      const auto between = rows.arena->floats({run.count, part.down.out()}, "adapter");
      linear(ctx, x.slice_rows(run.begin, run.count), part.down, {}, between);
      linear(ctx, between, part.up, {nullptr, Activation::none, true},
             y.slice_rows(run.begin, run.count).slice_cols(part.first, part.up.out()));
    }
  }
}

}  // namespace chiasm::kernels
