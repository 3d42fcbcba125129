#pragma once
/// From the rows of a sequence to the one vector that stands for it.
#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace chiasm::projector {

/// out[i, :] = mean of the next counts[i] rows of x, added one by one from the first, so that a
/// mean depends on nothing beside its own rows. x: [sum of counts, dim]; out: [counts, dim]. Every
/// count is at least 1. Throws ShapeError.
void mean_pool(TensorView<const float> x, std::span<const std::int64_t> counts,
               TensorView<float> out);

/// x[r, :] /= max(|x[r, :]|, 1e-12), the length summed in double. x: [rows, dim], in place.
/// Source: torch.nn.functional.normalize.
void unit_rows(TensorView<float> x);

}  // namespace chiasm::projector
