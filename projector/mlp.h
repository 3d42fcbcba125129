#pragma once
/// The projector of LLaVA and its relatives: two matrices with an activation between them.
#include <string_view>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"
#include "kernels/norm_layer.h"

namespace chiasm::projector {

/// y = second(act(first(x))), x normed before in InternVL. Source: Liu et al., 2023,
/// arXiv:2310.03744; transformers' LlavaMultiModalProjector and InternVLMultiModalProjector.
class MlpProjector {
 public:
  /// What a checkpoint calls the two matrices, and a layer norm before them where there is one.
  struct Names {
    std::string_view first = "linear_1", second = "linear_2", norm = {};
  };
  struct Sizes {
    std::int64_t in, hidden, out;
  };

  MlpProjector() = default;
  MlpProjector(const Context& ctx, const Weights& weights, const Sizes& sizes, const Names& names,
               bool bias, kernels::Activation activation, kernels::WeightFormat format);

  /// x: [rows, in]; y: [rows, out].
  void forward(const Context& ctx, TensorView<const float> x, Arena& arena,
               TensorView<float> y) const;

  const Sizes& sizes() const { return sizes_; }
  std::size_t bytes() const { return norm_.bytes() + first_.bytes() + second_.bytes(); }
  /// Multiply-adds of one row.
  std::int64_t macs() const { return sizes_.hidden * (sizes_.in + sizes_.out); }
  /// Floats of scratch that forward() takes for each row.
  std::int64_t scratch_per_row() const { return sizes_.hidden + (normed_ ? sizes_.in : 0); }

 private:
  Sizes sizes_{};
  kernels::Activation activation_ = kernels::Activation::none;
  bool normed_ = false;
  kernels::NormLayer norm_;
  kernels::LinearLayer first_, second_;
};

}  // namespace chiasm::projector
