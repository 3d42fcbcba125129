#include "projector/pixel_shuffle.h"

#include "kernels/embed.h"

namespace chiasm::projector {

namespace {

std::int64_t checked(std::int64_t factor) {
  constexpr std::int64_t kLargest = 64;  // published models use 2 to 5
  if (factor < 1 || factor > kLargest) {
    fail<ModelError>("scale_factor is ", factor, ", expected between 1 and ", kLargest);
  }
  return factor;
}

}  // namespace

PixelShuffleProjector::PixelShuffleProjector(const Context& ctx, const Weights& weights,
                                             std::int64_t vision_dim, std::int64_t language_dim,
                                             std::int64_t factor, kernels::WeightFormat format)
    : vision_dim_(vision_dim),
      factor_(checked(factor)),
      projection_(ctx, weights.scope("modality_projection"), {{"proj", language_dim}},
                  vision_dim * factor * factor, false, format) {}

void PixelShuffleProjector::forward(const Context& ctx, TensorView<const float> features,
                                    std::int64_t tiles, std::int64_t side, Arena& arena,
                                    TensorView<float> out) const {
  const std::int64_t patches = side * side, tokens = patches / (factor_ * factor_);
  features.expect({tiles * patches, vision_dim_});
  Arena::Frame frame(arena);
  const auto shuffled = arena.floats({tiles * tokens, vision_dim_ * factor_ * factor_}, "shuffled");
  for (std::int64_t i = 0; i < tiles; i++) {
    kernels::pixel_shuffle(ctx, features.slice_rows(i * patches, patches), side, side, factor_,
                           shuffled.slice_rows(i * tokens, tokens));
  }
  projection_(ctx, shuffled, out);
  ctx.show("projector.out", out);
}

}  // namespace chiasm::projector
