#pragma once
/// Normalisation of rows.
#include "core/context.h"
#include "core/tensor.h"

namespace chiasm::kernels {

/// y[r, :] = (x[r, :] - mean) / sqrt(variance + eps) * weight + bias; statistics in float32, the
/// variance from centred values (biased, as torch.nn.LayerNorm). x, y: [rows, dim]; weight, bias:
/// [dim]. `y` may be `x`. Source: Ba et al., 2016, arXiv:1607.06450.
void layer_norm(const Context& ctx, TensorView<const float> x, TensorView<const float> weight,
                TensorView<const float> bias, float eps, TensorView<float> y);

/// y[r, :] = weight * x[r, :] / sqrt(mean(x[r, :]^2) + eps).  x, y: [rows, dim]; weight: [dim].
/// `y` may be `x`. Source: Zhang and Sennrich, 2019, arXiv:1910.07467.
void rms_norm(const Context& ctx, TensorView<const float> x, TensorView<const float> weight,
              float eps, TensorView<float> y);

/// rms_norm of every head of every row, in place, with one weight for all heads.
/// x: [rows, heads * weight size] (any row stride); weight: [head size].
void rms_norm_heads(const Context& ctx, TensorView<float> x, std::int64_t heads,
                    TensorView<const float> weight, float eps);

}  // namespace chiasm::kernels
