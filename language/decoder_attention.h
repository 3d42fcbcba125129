#pragma once
/// Attention of a decoder's rows to the keys of their own sequences.
#include "kernels/attention.h"
#include "language/decoder_batch.h"
#include "language/decoder_parts.h"

namespace chiasm::language {

/// x += out(attention(rotary(q), rotary(k), v)) of norm(x). Immutable.
class SelfAttention {
 public:
  /// `index` counts the decoder's layers, `cached` those of them that keep keys and values.
  /// `weights` has the layer's scope.
  SelfAttention(const Context& ctx, const DecoderConfig& config, std::int64_t index,
                std::int64_t cached, const Weights& weights, kernels::WeightFormat format);

  /// Writes the rows' keys and values into their slots, then attends. x: [rows, hidden].
  void forward(const Context& ctx, const KvPages& pages, const DecoderBatch& batch, Arena& arena,
               TensorView<float> x) const;
  std::size_t bytes() const;

 private:
  std::int64_t index_, cached_;
  bool sliding_, turned_;
  kernels::AttentionShape shape_;
  Norm norm_, q_norm_, k_norm_, out_norm_;
  kernels::LinearLayer qkv_, out_;
};

}  // namespace chiasm::language
