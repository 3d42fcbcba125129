#pragma once
/// The Llama-type decoder over a batch of rows from many sequences.
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/json.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"
#include "language/kv_cache.h"
#include "language/rope.h"

namespace chiasm::language {

/// A Llama text model's config.json (or `text_config`).
struct DecoderConfig {
  std::int64_t hidden_size, intermediate_size, layers, heads, kv_heads, head_dim, vocab_size;
  std::int64_t max_positions;
  float rms_norm_eps;
  bool attention_bias, mlp_bias;
  kernels::Activation activation;
  RopeFrequencies rope;

  /// ModelError for sizes that do not describe a decoder.
  static DecoderConfig from_json(const Json& text_config);
};

/// How a decoder's matrices are kept, by how much they suffer from few bits.
struct DecoderFormats {
  kernels::WeightFormat embedding;  // the token table and the output head
  kernels::WeightFormat attention;  // q, k, v and out
  kernels::WeightFormat gate_up, down;
  kernels::WeightFormat edge_down;  // that of the first and the last layer
  /// Whether each MLP matrix is packed by what flows into it: a run of tokens drawn without
  /// data goes through the layers as they are made, and the mean square of each input says how much
  /// the error of its weights counts (as llama.cpp's importance matrices do with real text).
  bool calibrate = false;

  static DecoderFormats all(kernels::WeightFormat format) {
    return {format, format, format, format, format, false};
  }
};

/// Consecutive rows of one sequence in a batch: a whole prompt, a chunk of one, or one new token.
struct BatchPart {
  SequenceState* state;  // rows continue after state->length()
  std::int64_t rows;
};

/// Immutable after construction; safe to share. Sequence states are the caller's.
class Decoder {
 public:
  /// `weights` has the scope that holds "embed_tokens", "layers" and "norm" ("model" for a text
  /// model); `head` that of "lm_head.weight", read unless `tied`.
  Decoder(const Context& ctx, const DecoderConfig& config, const Weights& weights,
          const Weights& head, bool tied, const DecoderFormats& formats);

  /// x[i, :] = embedding of ids[i]. x: [ids, hidden].
  void embed(const Context& ctx, std::span<const std::int32_t> ids, TensorView<float> x) const;
  /// Runs the rows of all parts, one part below the other, through every layer: writes their keys
  /// and values, advances their states, and leaves in x the features after the last norm.
  /// Each row sees the rows before it in its own sequence. x: [rows of all parts, hidden].
  void forward(const Context& ctx, KvPages& pages, std::span<const BatchPart> parts, Arena& arena,
               TensorView<float> x) const;
  /// logits = features * head^T.  features: [rows, hidden]; logits: [rows, vocab].
  void logits(const Context& ctx, TensorView<const float> features, TensorView<float> out) const;

  const DecoderConfig& config() const { return config_; }
  KvShape kv_shape(DType dtype) const {
    return {config_.layers, config_.kv_heads, config_.head_dim, dtype};
  }
  std::size_t bytes() const;
  /// Bytes of weights that a step reads, however few its rows: all but the rows of a token table of
  /// its own.
  std::size_t step_bytes() const { return bytes() - (tied_ ? 0 : embedding_.bytes()); }

 private:
  struct Layer {
    Tensor input_norm, post_attention_norm;
    kernels::LinearLayer qkv, out, gate_up, down;
  };
  struct Batch;
  struct Calibration;
  void make_mlp(const Context& ctx, const Weights& mlp, kernels::WeightFormat gate_up_format,
                kernels::WeightFormat down_format, Calibration* calibration, Layer& layer) const;
  Batch lay_out(const Context& ctx, std::span<const BatchPart> parts, Arena& arena) const;
  void attend(const Context& ctx, const Layer& layer, std::int64_t index, const KvPages& pages,
              const Batch& batch, Arena& arena, TensorView<float> x) const;
  void feed_forward(const Context& ctx, const Layer& layer, Arena& arena,
                    TensorView<float> x) const;

  DecoderConfig config_;
  // Of attention over bfloat16 pages: not where the weights are finer than that.
  bool bf16_products_ = false;
  kernels::Matrix embedding_, head_;  // head_ empty when tied
  bool tied_;
  std::vector<Layer> layers_;
  Tensor norm_;
};

}  // namespace chiasm::language
