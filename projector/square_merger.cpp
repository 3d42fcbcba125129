#include "projector/square_merger.h"

#include "kernels/embed.h"

namespace chiasm::projector {

SquareMerger::SquareMerger(const Context& ctx, const Weights& weights, std::int64_t dim,
                           std::int64_t side, kernels::WeightFormat format)
    : dim_(dim),
      side_(side),
      merging_(ctx, weights, {{"merging_layer", dim}}, dim * side * side, false, format) {}

void SquareMerger::forward(const Context& ctx, TensorView<const float> x,
                           std::span<const PatchGrid> grids, Arena& arena,
                           TensorView<float> y) const {
  const std::int64_t square = side_ * side_;
  Arena::Frame frame(arena);
  const auto joined = arena.floats({y.rows(), dim_ * square}, "joined");
  std::int64_t patch = 0, row = 0;
  for (const PatchGrid& grid : grids) {
    const std::int64_t next = patch + grid.rows * grid.cols;
    if (grid.rows % side_ != 0 || grid.cols % side_ != 0 || next > x.rows() ||
        row + grid.rows * grid.cols / square > y.rows()) {
      fail<ShapeError>("a grid of ", grid.rows, " x ", grid.cols, " patches, to be merged by ",
                       side_, " x ", side_, ": ", x.rows(), " patches, ", y.rows(), " rows");
    }
    const std::int64_t made = grid.rows * grid.cols / square;
    kernels::unfold(ctx, x.slice_rows(patch, next - patch), grid.rows, grid.cols, side_,
                    joined.slice_rows(row, made));
    patch = next;
    row += made;
  }
  x.expect({patch, dim_});
  y.expect({row, dim_});
  merging_(ctx, joined, y);
}

}  // namespace chiasm::projector
