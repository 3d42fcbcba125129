#pragma once
/// The oracles of activations, norms and rotary embedding: plain loops in double, rounded to
/// float32 once at the end. Shapes are already checked.
#include "core/tensor.h"
#include "kernels/activation.h"

namespace chiasm::kernels::reference {

/// The activation of one number.
double activation(Activation act, double x);

void activate(Activation act, TensorView<float> x);
void gated_activation(Activation act, TensorView<const float> gate_up, TensorView<float> y);
void layer_norm(TensorView<const float> x, TensorView<const float> weight,
                TensorView<const float> bias, float eps, TensorView<float> y);
void rms_norm(TensorView<const float> x, TensorView<const float> weight, float eps,
              TensorView<float> y);
void rotate_half(TensorView<float> x, std::int64_t heads, std::int64_t head_dim,
                 TensorView<const float> cosine, TensorView<const float> sine);

}  // namespace chiasm::kernels::reference
