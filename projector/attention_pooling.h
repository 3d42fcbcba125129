#pragma once
/// SigLIP's way from patches to one vector: a learned query looks at all of them.
#include <cstdint>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"
#include "kernels/norm_layer.h"

namespace chiasm::projector {

/// y = attention(query, rows); y + mlp(norm(y)), for each group of rows. Immutable.
/// Sources: Lee et al., 2019, arXiv:1810.00825; transformers'
/// SiglipMultiheadAttentionPoolingHead.
class AttentionPooling {
 public:
  struct Sizes {
    std::int64_t dim = 0, inner = 0, heads = 0;
    kernels::Activation activation = kernels::Activation::gelu_tanh;
    kernels::NormKind norm;
  };

  /// `weights` has the scope of "probe", "attention", "layernorm" and "mlp".
  AttentionPooling(const Context& ctx, const Sizes& sizes, const Weights& weights,
                   kernels::WeightFormat format);

  /// x: [groups * rows, dim]; out: [groups, dim]. A group's vector depends on its own rows alone,
  /// bit for bit. Throws ShapeError.
  void forward(const Context& ctx, TensorView<const float> x, std::int64_t rows, Arena& arena,
               TensorView<float> out) const;
  std::size_t bytes() const;

 private:
  Sizes sizes_;
  bool bf16_products_;
  kernels::Matrix qkv_;
  Tensor qkv_bias_, query_;  // the probe, projected: the same for all pictures
  kernels::LinearLayer out_, up_, down_;
  kernels::NormLayer norm_;
};

}  // namespace chiasm::projector
