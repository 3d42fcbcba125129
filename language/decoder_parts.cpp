#include "language/decoder_parts.h"

#include <string>

#include "kernels/activation.h"

namespace chiasm::language {

Norm load_norm(const DecoderConfig& config, const Weights& weights, std::string_view name,
               std::int64_t dim) {
  if (name.empty()) return std::nullopt;
  return kernels::NormLayer(weights, name, dim, config.norm);
}

std::size_t bytes(const Norm& norm) { return norm ? norm->bytes() : 0; }

kernels::LinearLayer load_linear(const Context& ctx, const DecoderConfig& config,
                                 const Weights& weights, const kernels::LinearPart& part,
                                 std::int64_t in, bool bias, kernels::WeightFormat format,
                                 std::span<const float> importance) {
  if (!config.transposed) return {ctx, weights, {part}, in, bias, format, importance};
  const std::string scope(part.scope);
  return kernels::LinearLayer::from_transposed(ctx, weights, scope + ".weight", in, part.out,
                                               format, bias ? scope + ".bias" : "", importance);
}

Tensor load_taps(const Weights& weights, std::string_view name, std::int64_t channels,
                 std::int64_t taps) {
  const Tensor stored = weights.floats(name, {channels, 1, taps});
  Tensor out = float_tensor({taps, channels});
  const float* from = stored.view<float>().data();
  const auto to = out.view<float>();
  for (std::int64_t i = 0; i < channels; i++) {
    for (std::int64_t j = 0; j < taps; j++) to.row(j)[i] = from[i * taps + j];
  }
  return out;
}

bool allows_bf16_products(const kernels::LinearLayer& linear) {
  const kernels::WeightFormat kept = linear.format();
  return kept != kernels::WeightFormat::f32 && kept != kernels::WeightFormat::f16;
}

void join(const Context& ctx, const kernels::LinearLayer& linear, const Norm& norm,
          TensorView<const float> y, Arena& arena, TensorView<float> x) {
  if (!norm) return linear.accumulate(ctx, y, x);
  Arena::Frame frame(arena);
  const auto added = arena.floats(x.shape(), "added");  // [rows, hidden]
  linear(ctx, y, added);
  (*norm)(ctx, added, added);
  kernels::add(ctx, added, x);
}

}  // namespace chiasm::language
