#include "language/decoder_parts.h"

#include "kernels/activation.h"

namespace chiasm::language {

Norm load_norm(const DecoderConfig& config, const Weights& weights, std::string_view name,
               std::int64_t dim) {
  if (name.empty()) return std::nullopt;
  return kernels::NormLayer(weights, name, dim, config.norm);
}

std::size_t bytes(const Norm& norm) { return norm ? norm->bytes() : 0; }

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
