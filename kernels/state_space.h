#pragma once
/// The selective state space of Mamba 2, as the recurrence over rows that defines it.
/// Source: Dao and Gu, 2024, arXiv:2405.21060; transformers' Mamba2Mixer.
#include "core/context.h"
#include "core/tensor.h"

namespace chiasm::kernels {

/// How long a row's step is, between two bounds.
struct StepLimits {
  float least = 0, most = 0;
};

/// step[r, h] = clamp(softplus(step[r, h] + bias[h])), in place, and
/// decay[r, h] = exp(-rate[h] * step[r, h]).
/// step, decay: [rows, heads]; bias, rate: [heads].
void state_space_steps(const Context& ctx, TensorView<const float> bias,
                       TensorView<const float> rate, StepLimits limits, TensorView<float> step,
                       TensorView<float> decay);

/// Rows of one sequence, in order. For head h of group g = h / (heads / groups):
/// state[h, i, :] = decay[r, h] * state[h, i, :] + step[r, h] * x[r, h, i] * b[r, g, :],
/// y[r, h, i] = state[h, i, :] . c[r, g, :] + skip[h] * x[r, h, i].
/// x, y: [rows, heads * head_dim]; b, c: [rows, groups * size]; step, decay: [rows, heads];
/// skip: [heads]; state: [heads * head_dim, size], that of the rows before, replaced by that after
/// the last. `y` overlaps nothing. A row's arithmetic does not depend on how rows are cut.
void state_space_scan(const Context& ctx, std::int64_t groups, TensorView<const float> x,
                      TensorView<const float> b, TensorView<const float> c,
                      TensorView<const float> step, TensorView<const float> decay,
                      TensorView<const float> skip, TensorView<float> state, TensorView<float> y);

}  // namespace chiasm::kernels
