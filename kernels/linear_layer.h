#pragma once
/// A checkpoint's weight and bias as one callable: what every module is made of.
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "core/weights.h"
#include "kernels/matrix.h"

namespace chiasm::kernels {

/// A part of a fused product: its tensor scope ("q_proj") and number of outputs.
struct LinearPart {
  std::string_view scope;
  std::int64_t out;
  bool biased = true;  // in a layer with biases: false where the checkpoint has none for this part
};

/// y = x W^T + b, or several such products over one x laid side by side (q, k and v).
class LinearLayer {
 public:
  LinearLayer() = default;
  /// Reads "<scope>.weight" [out, in] and, with `bias`, "<scope>.bias" [out] of each part, packs
  /// them and lets go of the file's pages; of a packed file, looks at the one matrix it holds for
  /// them ("q_proj+k_proj+v_proj.weight"). Where parts have a "qweight" instead, GPTQ's or AWQ's
  /// weights are kept in their 4 bits (grouped.h).
  /// `importance`: see Matrix::pack.
  LinearLayer(const Context& ctx, const Weights& weights, std::initializer_list<LinearPart> parts,
              std::int64_t in, bool bias, WeightFormat format,
              std::span<const float> importance = {});

  /// A convolution whose stride is its kernel, as a product over patches laid out as rows: reads
  /// "weight" of shape [out, ...] in this scope, its inner dimensions flattened, and "bias" [out].
  static LinearLayer from_convolution(const Context& ctx, const Weights& weights,
                                      const Shape& kernel, bool bias, WeightFormat format);

  /// A matrix that the file holds as [in, out]: reads `name` and packs it turned round. `bias`
  /// names its bias [out]; empty: it has none.
  static LinearLayer from_transposed(const Context& ctx, const Weights& weights,
                                     std::string_view name, std::int64_t in, std::int64_t out,
                                     WeightFormat format, std::string_view bias = "",
                                     std::span<const float> importance = {});

  /// y = act(x W^T + b).  x: [rows, in], y: [rows, out].
  void operator()(const Context& ctx, TensorView<const float> x, TensorView<float> y,
                  Activation activation = Activation::none) const;
  /// y[r, j] = act(p[r, j]) * p[r, out / 2 + j] with p = x W^T + b: gate and up side by side.
  /// y: [rows, out / 2]. Takes gate_scratch(out / 2) numbers a row from `arena`.
  void gated(const Context& ctx, TensorView<const float> x, Activation activation, Arena& arena,
             TensorView<float> y) const;
  /// y += x W^T + b: the product joins a residual stream.
  void accumulate(const Context& ctx, TensorView<const float> x, TensorView<float> y) const;

  std::int64_t out() const;
  /// What the weight (its first part) is kept in; blocks of a GGUF file decide for themselves.
  WeightFormat format() const { return weights_.at(0).format(); }
  std::size_t bytes() const;

 private:
  void read_bias(const Weights& weights, std::string_view name, std::int64_t out);
  void multiply(const Context& ctx, TensorView<const float> x, Epilogue epilogue,
                TensorView<float> y) const;

  std::vector<Matrix> weights_;  // one below the other; one, unless a file keeps parts differently
  std::vector<float> bias_;
  int layer_ = -1;  // what adapters know it by; -1: none changes it
};

/// Numbers a row that LinearLayer::gated needs beside its `inner` results: none where these are
/// multiples of kGateUnit.
std::int64_t gate_scratch(std::int64_t inner);

/// Packs one tensor [out, in] of `weights` (an embedding table, say) and lets go of its file pages.
Matrix load_matrix(const Context& ctx, const Weights& weights, std::string_view name,
                   std::int64_t out, std::int64_t in, WeightFormat format);

}  // namespace chiasm::kernels
