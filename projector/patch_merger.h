#pragma once
/// The projector of the Qwen-VL families: neighbouring patches become one token.
#include <string_view>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"
#include "kernels/norm_layer.h"

namespace chiasm::projector {

/// y = second(gelu(first(join(norm(x))))), where join lays `merged` rows side by side. Source: Wang
/// et al., 2024, arXiv:2409.12191; transformers' PatchMerger and Qwen3VLVisionPatchMerger.
class PatchMerger {
 public:
  struct Shape {
    std::int64_t dim, merged, out;
    bool norm_joined = false;  // the norm comes after the join, over all its columns
  };
  /// What a checkpoint calls the parts.
  struct Names {
    std::string_view norm = "ln_q", first = "mlp.0", second = "mlp.2";
  };

  PatchMerger() = default;
  PatchMerger(const Context& ctx, const Weights& weights, const Shape& shape, const Names& names,
              kernels::NormKind norm, kernels::WeightFormat format);

  /// Shows what enters the first matrix as `stage`, where one is named.
  /// x: [tokens * merged, dim], contiguous; y: [tokens, out].
  void forward(const Context& ctx, TensorView<const float> x, Arena& arena, TensorView<float> y,
               std::string_view stage = {}) const;

  std::size_t bytes() const { return norm_.bytes() + first_.bytes() + second_.bytes(); }
  /// Floats of scratch that forward() takes for each row of x.
  std::int64_t scratch_per_row() const { return 2 * shape_.dim; }
  /// Multiply-adds of one token.
  std::int64_t macs() const;

 private:
  Shape shape_{};
  kernels::NormLayer norm_;
  kernels::LinearLayer first_, second_;
};

}  // namespace chiasm::projector
