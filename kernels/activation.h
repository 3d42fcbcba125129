#pragma once
/// Pointwise nonlinearities.
#include <string_view>

#include "core/context.h"
#include "core/tensor.h"
#include "kernels/activation_kind.h"

namespace chiasm::kernels {

/// The activation that a transformers `hidden_act` names ("gelu_pytorch_tanh", "silu", ...).
/// Throws ModelError for an unknown name, listing those known.
Activation activation_from_name(std::string_view name);

/// x = act(x), in place. Accuracy: 4 ulp-level relative error of float32 arithmetic.
void activate(const Context& ctx, Activation act, TensorView<float> x);

/// y[r, j] = act(gate_up[r, j]) * gate_up[r, n + j].  gate_up: [rows, 2n], y: [rows, n].
void gated_activation(const Context& ctx, Activation act, TensorView<const float> gate_up,
                      TensorView<float> y);

/// y += x.  Both [rows, cols].
void add(const Context& ctx, TensorView<const float> x, TensorView<float> y);

/// y[r, :] += scale * x[r, :].  x, y: [rows, cols]; scale: [cols].
void add_scaled(const Context& ctx, TensorView<const float> x, TensorView<const float> scale,
                TensorView<float> y);

/// x *= factor.  x: [rows, cols].
void scale(const Context& ctx, float factor, TensorView<float> x);

/// x = cap * tanh(x / cap), cap > 0.  x: [rows, cols]. Source: Gemma Team, 2024, arXiv:2408.00118.
void softcap(const Context& ctx, float cap, TensorView<float> x);

}  // namespace chiasm::kernels
