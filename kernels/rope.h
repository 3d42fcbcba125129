#pragma once
/// Rotary position embedding.
#include <cstdint>
#include <span>

#include "core/context.h"
#include "core/tensor.h"

namespace chiasm::kernels {

/// Rotates the first 2 * half dimensions of every head in place, as transformers' rotate_half does:
/// (x[i], x[i + half]) by the angle of pair i. x: [rows, heads * head_dim] (any row stride);
/// cosine, sine: [rows, half] float32, half = rotary dimensions / 2 <= head_dim / 2.
/// Source: Su et al., 2021, arXiv:2104.09864; transformers' apply_rotary_pos_emb.
void rotate_half(const Context& ctx, TensorView<float> x, std::int64_t heads, std::int64_t head_dim,
                 TensorView<const float> cosine, TensorView<const float> sine);

/// cosine[r, i] = cos(position[axis[i], r] * inv_freq[i]) * attention_scaling, likewise sine; the
/// product is taken in float32 as transformers does, the functions are accurate to 1 ulp of
/// float32. position: [axes][rows]; axis: [half], the axis that turns each pair, empty where there
/// is one. cosine, sine: [rows, half].
void rotary_table(const Context& ctx, std::span<const std::int32_t> position,
                  std::span<const float> inv_freq, std::span<const std::uint8_t> axis,
                  float attention_scaling, TensorView<float> cosine, TensorView<float> sine);

}  // namespace chiasm::kernels
