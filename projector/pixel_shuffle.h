#pragma once
/// The projector of Idefics3 and SmolVLM: pixel shuffle, then one matrix.
#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"

namespace chiasm::projector {

/// Carries encoder features into a language model's token space, `factor`^2 patches a token.
/// Source: transformers' SmolVLMConnector.
class PixelShuffleProjector {
 public:
  /// `weights` has scope "model.connector".
  PixelShuffleProjector(const Context& ctx, const Weights& weights, std::int64_t vision_dim,
                        std::int64_t language_dim, std::int64_t factor,
                        kernels::WeightFormat format);

  /// features: [tiles * side^2, vision_dim]; out: [tiles * (side / factor)^2, language_dim].
  void forward(const Context& ctx, TensorView<const float> features, std::int64_t tiles,
               std::int64_t side, Arena& arena, TensorView<float> out) const;

  std::int64_t factor() const { return factor_; }
  std::size_t bytes() const { return projection_.bytes(); }

 private:
  std::int64_t vision_dim_, factor_;
  kernels::LinearLayer projection_;
};

}  // namespace chiasm::projector
