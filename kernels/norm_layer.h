#pragma once
/// A checkpoint's norm as one callable.
#include <optional>
#include <string_view>

#include "core/weights.h"
#include "kernels/norm.h"

namespace chiasm::kernels {

/// Which of the two norms of kernels/norm.h, and the eps under its root.
struct NormKind {
  enum Type { layer, rms } type = layer;
  float eps = 1e-6f;
  /// Added to the weight: Gemma keeps the distance from one.
  float offset = 0;
};

/// y = norm(x) * (weight + offset) + bias, row by row.
class NormLayer {
 public:
  NormLayer() = default;
  /// Reads "<scope>.weight" [dim] and, of a layer norm, "<scope>.bias" [dim].
  NormLayer(const Weights& weights, std::string_view scope, std::int64_t dim, NormKind kind);

  /// x, y: [rows, dim]; `y` may be `x`.
  void operator()(const Context& ctx, TensorView<const float> x, TensorView<float> y) const;
  /// Every head of every row normed on its own, in place; of an RMS norm.
  /// x: [rows, heads * dim].
  void heads(const Context& ctx, TensorView<float> x, std::int64_t heads) const;
  std::size_t bytes() const { return weight_.bytes() + bias_.bytes(); }

 private:
  NormKind kind_;
  Tensor weight_, bias_;
};

}  // namespace chiasm::kernels
