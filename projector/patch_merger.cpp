#include "projector/patch_merger.h"

namespace chiasm::projector {

PatchMerger::PatchMerger(const Context& ctx, const Weights& weights, const Shape& shape,
                         const Names& names, kernels::NormKind norm, kernels::WeightFormat format)
    : shape_(shape),
      norm_(weights, names.norm, shape.norm_joined ? shape.dim * shape.merged : shape.dim, norm) {
  const std::int64_t joined = shape.dim * shape.merged;
  first_ = {ctx, weights, {{names.first, joined}}, joined, true, format};
  second_ = {ctx, weights, {{names.second, shape.out}}, joined, true, format};
}

std::int64_t PatchMerger::macs() const {
  const std::int64_t joined = shape_.dim * shape_.merged;
  return joined * (joined + shape_.out);
}

void PatchMerger::forward(const Context& ctx, TensorView<const float> x, Arena& arena,
                          TensorView<float> y, std::string_view stage) const {
  const std::int64_t joined = shape_.dim * shape_.merged, tokens = y.rows();
  x.expect({tokens * shape_.merged, shape_.dim});
  if (!x.contiguous()) fail<ShapeError>(x.name(), ": patches to be merged are not contiguous");
  Arena::Frame frame(arena);
  const auto normed = arena.floats({tokens, joined}, "normed");
  const auto hidden = arena.floats({tokens, joined}, "hidden");
  if (shape_.norm_joined) {
    norm_(ctx, {x.data(), {tokens, joined}}, normed);
  } else {
    norm_(ctx, x, {normed.data(), x.shape()});
  }
  if (!stage.empty()) ctx.show(stage, {normed.data(), x.shape()});
  first_(ctx, normed, hidden, kernels::Activation::gelu);
  second_(ctx, hidden, y);
}

}  // namespace chiasm::projector
