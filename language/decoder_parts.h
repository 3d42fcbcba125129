#pragma once
/// What layers of every kind are put together from: norms, and sums that join the residual stream.
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"
#include "kernels/norm_layer.h"
#include "language/decoder_config.h"

namespace chiasm::language {

/// A norm that a family may lack.
using Norm = std::optional<kernels::NormLayer>;

/// The norm called `name`, of vectors of `dim`; none where the name is empty.
Norm load_norm(const DecoderConfig& config, const Weights& weights, std::string_view name,
               std::int64_t dim);
std::size_t bytes(const Norm& norm);

/// One matrix of a layer, whichever way round the family stores them.
kernels::LinearLayer load_linear(const Context& ctx, const DecoderConfig& config,
                                 const Weights& weights, const kernels::LinearPart& part,
                                 std::int64_t in, bool bias, kernels::WeightFormat format,
                                 std::span<const float> importance = {});

/// A convolution's weight [channels, 1, taps] as [taps, channels].
Tensor load_taps(const Weights& weights, std::string_view name, std::int64_t channels,
                 std::int64_t taps);

/// Whether attention may multiply in bfloat16: not where the weights behind it are finer.
bool allows_bf16_products(const kernels::LinearLayer& linear);

/// x += norm(linear(y)), or x += linear(y) where there is no norm.  x: [rows, hidden].
void join(const Context& ctx, const kernels::LinearLayer& linear, const Norm& norm,
          TensorView<const float> y, Arena& arena, TensorView<float> x);

}  // namespace chiasm::language
