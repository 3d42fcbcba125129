#pragma once
/// A causal convolution over a few rows, alone or between two gates.
#include "core/context.h"
#include "core/tensor.h"

namespace chiasm::kernels {

/// Rows of one sequence, in order: with p[r] = b[r] * x[r],
/// y[r, c] = g[r, c] * (bias[c] + sum over j of weight[j, c] * p[r - (taps - 1) + j, c]).
/// bgx: [rows, 3 * dim], b, g and x side by side; weight: [taps, dim]; bias: [dim], null for none;
/// history: [taps - 1, dim], p of the rows before the first, replaced by that of the last ones;
/// y: [rows, dim]. Nothing overlaps. A row's arithmetic does not depend on how rows are cut.
/// Source: transformers' Lfm2ShortConv.
void gated_short_convolution(const Context& ctx, TensorView<const float> bgx,
                             TensorView<const float> weight, const float* bias,
                             TensorView<float> history, TensorView<float> y);

/// The same without gates: p = x, and y[r, c] = bias[c] + sum over j of ... alone.
/// x, y: [rows, dim]; the rest as above. Source: transformers' causal_conv1d_fn of Mamba 2.
void short_convolution(const Context& ctx, TensorView<const float> x,
                       TensorView<const float> weight, const float* bias, TensorView<float> history,
                       TensorView<float> y);

}  // namespace chiasm::kernels
