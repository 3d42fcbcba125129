#include "projector/mlp.h"

namespace chiasm::projector {

MlpProjector::MlpProjector(const Context& ctx, const Weights& weights, const Sizes& sizes,
                           const Names& names, bool bias, kernels::Activation activation,
                           kernels::WeightFormat format)
    : sizes_(sizes),
      activation_(activation),
      normed_(!names.norm.empty()),
      first_(ctx, weights, {{names.first, sizes.hidden}}, sizes.in, bias, format),
      second_(ctx, weights, {{names.second, sizes.out}}, sizes.hidden, bias, format) {
  constexpr float kTorchsEps = 1e-5f;  // of a LayerNorm that is given none
  if (normed_) norm_ = {weights, names.norm, sizes.in, {kernels::NormKind::layer, kTorchsEps}};
}

void MlpProjector::forward(const Context& ctx, TensorView<const float> x, Arena& arena,
                           TensorView<float> y) const {
  Arena::Frame frame(arena);
  const auto hidden = arena.floats({x.rows(), sizes_.hidden}, "projected");
  if (normed_) {
    Arena::Frame inner(arena);
    const auto normed = arena.floats({x.rows(), sizes_.in}, "normed");
    norm_(ctx, x, normed);
    first_(ctx, normed, hidden, activation_);
  } else {
    first_(ctx, x, hidden, activation_);
  }
  second_(ctx, hidden, y);
}

}  // namespace chiasm::projector
