#pragma once
/// The patch merger of Mistral 3: squares of neighbouring patches become one row.
#include <cstdint>
#include <span>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"

namespace chiasm::projector {

/// Patches of a picture, row by row.
struct PatchGrid {
  std::int64_t rows = 0, cols = 0;
};

/// y = W [values of side x side patches, the feature outermost, then down, then across].
/// Source: transformers' Mistral3PatchMerger.
class SquareMerger {
 public:
  /// `weights` has "merging_layer.weight" [dim, dim * side^2].
  SquareMerger(const Context& ctx, const Weights& weights, std::int64_t dim, std::int64_t side,
               kernels::WeightFormat format);

  /// x: [patches of all grids, dim], one grid below the other; y: [patches / side^2, dim].
  /// ShapeError for grids that `side` does not divide.
  void forward(const Context& ctx, TensorView<const float> x, std::span<const PatchGrid> grids,
               Arena& arena, TensorView<float> y) const;

  std::int64_t side() const { return side_; }
  std::size_t bytes() const { return merging_.bytes(); }
  /// Multiply-adds of one row of y.
  std::int64_t macs() const { return dim_ * side_ * side_ * dim_; }
  /// Floats of scratch that forward() takes for each row of y.
  std::int64_t scratch_per_row() const { return dim_ * side_ * side_; }

 private:
  std::int64_t dim_, side_;
  kernels::LinearLayer merging_;
};

}  // namespace chiasm::projector
