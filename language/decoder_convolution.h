#pragma once
/// A layer that mixes each row with the few before it, in place of attention (LFM2).
#include "language/decoder_batch.h"
#include "language/decoder_parts.h"

namespace chiasm::language {

/// x += out(convolution(in(norm(x)))), gated on both sides. Keeps the last rows of its sequences
/// among their fixed numbers. Immutable.
class ShortConvolution {
 public:
  /// Numbers that a layer keeps of a sequence.
  static std::int64_t fixed(const DecoderConfig& config) {
    return (config.taps - 1) * config.hidden_size;
  }

  /// `kept` counts the layers of this kind. `weights` has the layer's scope.
  ShortConvolution(const Context& ctx, const DecoderConfig& config, std::int64_t kept,
                   const Weights& weights, kernels::WeightFormat format);

  /// x: [rows, hidden].
  void forward(const Context& ctx, const DecoderBatch& batch, Arena& arena,
               TensorView<float> x) const;
  std::size_t bytes() const;

 private:
  std::int64_t taps_, first_fixed_;
  Norm norm_;
  kernels::LinearLayer in_, out_;
  Tensor weight_, bias_;  // [taps, hidden]; [hidden] or nothing
};

}  // namespace chiasm::language
