#pragma once
/// Attention of a decoder's rows to something fixed: the features of an encoder.
#include <cstdint>
#include <vector>

#include "kernels/attention.h"
#include "language/decoder_batch.h"
#include "language/decoder_parts.h"

namespace chiasm::language {

/// Keys and values of encoder features in every layer: made once, read by every step. Laid out as
/// pages of a KV cache are; in the device's memory where the decoder runs on one. Immutable once
/// filled.
struct CrossMemory {
  struct Layer {
    Tensor keys, values;  // [pages, kv_heads, kPageTokens, head_dim]
  };
  std::int64_t rows = 0;  // of features
  DType dtype = DType::f32;
  std::vector<std::int32_t> pages;  // 0, 1, ...
  std::vector<Layer> layers;
};

/// x += out(attention(q(norm(x)), keys, values)), the keys and values being of a CrossMemory.
/// Immutable.
class CrossAttention {
 public:
  /// `weights` has the layer's scope.
  CrossAttention(const Context& ctx, const DecoderConfig& config, const Weights& weights,
                 kernels::WeightFormat format);

  /// This layer's part of a memory of `features` [rows, hidden].
  CrossMemory::Layer remember(const Context& ctx, TensorView<const float> features,
                              const CrossMemory& memory, Arena& arena) const;
  /// Rows of parts without a memory see nothing. x: [rows, hidden].
  void forward(const Context& ctx, const DecoderBatch& batch, std::int64_t layer, Arena& arena,
               TensorView<float> x) const;
  std::size_t bytes() const;

 private:
  kernels::AttentionShape shape_;
  Norm norm_;
  kernels::LinearLayer q_, kv_, out_;
};

}  // namespace chiasm::language
