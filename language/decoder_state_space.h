#pragma once
/// A layer that carries what it has read in a state of constant size (Mamba 2).
#include "language/decoder_batch.h"
#include "language/decoder_parts.h"

namespace chiasm::language {

/// x += out(norm(scan(convolution(in(norm(x)))) * gate)). Keeps the scan's state, and the rows that
/// the convolution still needs, among the fixed numbers of its sequences. Immutable.
class StateSpace {
 public:
  /// Numbers that a layer keeps of a sequence.
  static std::int64_t fixed(const DecoderConfig& config);

  /// `kept` counts the layers of this kind. `weights` has the layer's scope.
  StateSpace(const Context& ctx, const DecoderConfig& config, std::int64_t kept,
             const Weights& weights, kernels::WeightFormat format);

  /// x: [rows, hidden].
  void forward(const Context& ctx, const DecoderBatch& batch, Arena& arena,
               TensorView<float> x) const;
  std::size_t bytes() const;

 private:
  void scan(const Context& ctx, const DecoderBatch& batch, Arena& arena,
            TensorView<float> projected) const;

  StateSpaceConfig shape_;
  kernels::Activation activation_;
  float eps_;
  std::int64_t first_fixed_;
  Norm norm_;
  kernels::LinearLayer in_, out_;
  Tensor convolution_, convolution_bias_;  // [taps, convolved]; [convolved] or nothing
  Tensor step_bias_, rates_, skip_;        // [heads]
  Tensor gated_norm_;                      // [inner], each group normed on its own
};

}  // namespace chiasm::language
