#pragma once
/// Attention with a learned bias for each distance of two tokens, over packed texts.
#include <cstdint>
#include <span>

#include "core/context.h"
#include "core/tensor.h"

namespace chiasm::kernels {

/// The bucket of a token `ahead` places after the one that looks (negative: before it), of `count`
/// buckets: half of them for each direction; the nearest distances have their own, from a quarter
/// on they are logarithmic up to `farthest`. count: an even number from 4 on.
/// Source: Raffel et al., 2020, arXiv:1910.10683; transformers' relative_position_bucket.
std::int64_t relative_bucket(std::int64_t ahead, std::int64_t count, std::int64_t farthest);

/// out[r, h, :] = sum_j softmax_j(scale * q[r, h, :] . k[j, h, :] + bias[bucket(j - r), h]) v[j, h,
/// :] over the rows j of r's own text, all of which see each other. `counts`: rows of each text,
/// one below the other. qkv: [rows, 3 * heads * head_dim], q, k and v side by side; bias: [buckets,
/// heads]; out: [rows, heads * head_dim]. A row's arithmetic depends on its own text alone.
/// ShapeError on disagreement, DeviceError on a device.
void relative_attention(const Context& ctx, std::int64_t heads, float scale,
                        TensorView<const float> qkv, std::span<const std::int64_t> counts,
                        TensorView<const float> bias, std::int64_t farthest, TensorView<float> out);

}  // namespace chiasm::kernels
