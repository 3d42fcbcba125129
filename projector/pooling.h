#pragma once
/// From the rows of a sequence to the one vector that stands for it.
#include <cstdint>
#include <span>

#include "core/context.h"
#include "core/tensor.h"

namespace chiasm::projector {

/// out[i, :] = mean of the next counts[i] rows of x, added one by one from the first, so that a
/// mean depends on nothing beside its own rows. x: [sum of counts, dim]; out: [counts, dim]. Every
/// count is at least 1. Throws ShapeError.
void mean_pool(TensorView<const float> x, std::span<const std::int64_t> counts,
               TensorView<float> out);

/// Which of a sequence's rows become its vector: the first, their mean, the largest number of each
/// column, the last.
enum class Pooling { first, mean, max, last };

/// One row of `out` for the next counts[i] rows of x. Shapes and errors as for mean_pool.
void pool(Pooling pooling, TensorView<const float> x, std::span<const std::int64_t> counts,
          TensorView<float> out);

/// out[i, k] = the largest x[r, k] of the next counts[i] rows. Shapes and errors as for mean_pool.
void max_pool(TensorView<const float> x, std::span<const std::int64_t> counts,
              TensorView<float> out);

/// Means over squares of `kernel` x `kernel` rows of grids of side x side rows, which lie one below
/// the other, added row by row of the grid. x: [grids * side^2, dim]; out: [grids * (side /
/// kernel)^2, dim]. What is left of a side that `kernel` does not divide is not met, as in
/// torch.nn.AvgPool2d. Throws ShapeError.
void average_pool(const Context& ctx, TensorView<const float> x, std::int64_t side,
                  std::int64_t kernel, TensorView<float> out);

/// x[r, :] /= max(|x[r, :]|, 1e-12), the length summed in double. x: [rows, dim], in place.
/// Source: torch.nn.functional.normalize.
void unit_rows(TensorView<float> x);

}  // namespace chiasm::projector
