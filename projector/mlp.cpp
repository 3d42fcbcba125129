#include "projector/mlp.h"

namespace chiasm::projector {

MlpProjector::MlpProjector(const Context& ctx, const Weights& weights, const Sizes& sizes,
                           const Names& names, bool bias, kernels::Activation activation,
                           kernels::WeightFormat format)
    : sizes_(sizes),
      activation_(activation),
      first_(ctx, weights, {{names.first, sizes.hidden}}, sizes.in, bias, format),
      second_(ctx, weights, {{names.second, sizes.out}}, sizes.hidden, bias, format) {}

void MlpProjector::forward(const Context& ctx, TensorView<const float> x, Arena& arena,
                           TensorView<float> y) const {
  Arena::Frame frame(arena);
  const auto hidden = arena.floats({x.rows(), sizes_.hidden}, "projected");
  first_(ctx, x, hidden, activation_);
  second_(ctx, hidden, y);
}

}  // namespace chiasm::projector
