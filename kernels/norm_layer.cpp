#include "kernels/norm_layer.h"

#include <string>

namespace chiasm::kernels {

NormLayer::NormLayer(const Weights& weights, std::string_view scope, std::int64_t dim,
                     NormKind kind)
    : kind_(kind), weight_(weights.floats(std::string(scope) + ".weight", {dim})) {
  if (kind.offset != 0) {
    const auto values = weight_.view<float>();
    for (std::int64_t i = 0; i < dim; i++) values.data()[i] += kind.offset;
  }
  if (kind.type == NormKind::layer) bias_ = weights.floats(std::string(scope) + ".bias", {dim});
}

void NormLayer::operator()(const Context& ctx, TensorView<const float> x,
                           TensorView<float> y) const {
  if (kind_.type == NormKind::layer) {
    layer_norm(ctx, x, weight_.view<float>(), bias_.view<float>(), kind_.eps, y);
  } else {
    rms_norm(ctx, x, weight_.view<float>(), kind_.eps, y);
  }
}

void NormLayer::heads(const Context& ctx, TensorView<float> x, std::int64_t heads) const {
  rms_norm_heads(ctx, x, heads, weight_.view<float>(), kind_.eps);
}

}  // namespace chiasm::kernels
