#pragma once
/// The text decoder over a batch of rows from many sequences.
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/drawn_tokens.h"
#include "language/decoder_attention.h"
#include "language/decoder_batch.h"
#include "language/decoder_config.h"
#include "language/decoder_convolution.h"
#include "language/decoder_cross.h"
#include "language/decoder_mlp.h"
#include "language/decoder_state_space.h"
#include "language/kv_cache.h"

namespace chiasm::language {

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

/// Immutable after construction; safe to share. Sequence states are the caller's.
class Decoder {
 public:
  /// `weights` has the scope that holds the token table, the layers and the last norm ("model" for
  /// most text models); `head` that of "lm_head.weight", read unless `tied`.
  Decoder(const Context& ctx, const DecoderConfig& config, const Weights& weights,
          const Weights& head, bool tied, const DecoderFormats& formats);

  /// x[i, :] = embedding of ids[i], scaled where the family scales words. x: [ids, hidden].
  void embed(const Context& ctx, std::span<const std::int32_t> ids, TensorView<float> x) const;
  /// Runs the rows of all parts, one part below the other, through every layer: writes their keys
  /// and values, advances their states, and leaves in x the features after the last norm.
  /// x: [rows of all parts, hidden]. ShapeError for parts or deep rows that do not fit. `watch`
  /// hears what the rows attend to (attention_watch.h), which changes nothing of the rest.
  void forward(const Context& ctx, KvPages& pages, std::span<const BatchPart> parts, Arena& arena,
               TensorView<float> x, const DeepRows* deep = nullptr,
               AttentionWatch* watch = nullptr) const;
  /// On a device alone: `forward` of one new row of each part, token i of part i, then the token
  /// that follows, drawn from its logits as draws[i] says, takes its place; -1 for a part whose
  /// logits are not numbers. Nothing comes to the host, and nobody waits: the next step may be
  /// asked for at once.
  void decode(const Context& ctx, KvPages& pages, std::span<const BatchPart> parts,
              kernels::DrawnTokens& tokens, std::span<const kernels::Draw> draws) const;
  /// logits = features * head^T.  features: [rows, hidden]; logits: [rows, vocab].
  void logits(const Context& ctx, TensorView<const float> features, TensorView<float> out) const;

  /// Whether rows look at features of an encoder, which their parts then bring along.
  bool has_cross() const { return !config_.names.cross.empty(); }
  /// Keys and values of `features` [rows, hidden] in every layer, kept as `dtype` (f32 or bf16).
  /// ShapeError for a decoder that looks at none.
  CrossMemory remember(const Context& ctx, TensorView<const float> features, DType dtype,
                       Arena& arena) const;
  /// Bytes of such a memory, and scratch bytes of making it.
  std::size_t cross_bytes(std::int64_t rows, DType dtype) const;
  std::size_t remember_bytes(std::int64_t rows) const;

  const DecoderConfig& config() const { return config_; }
  KvShape kv_shape(DType dtype) const;
  /// Whether a sequence can be continued only where it ended (SequenceState::shareable), since it
  /// holds more than keys and values.
  bool needs_whole_prefix() const { return config_.keeps_state(); }
  std::size_t bytes() const;
  /// Bytes of weights that a step reads, however few its rows: all but the rows of a token table of
  /// its own.
  std::size_t step_bytes() const { return bytes() - (tied_ ? 0 : embedding_.bytes()); }

 private:
  struct Layer {
    std::variant<SelfAttention, ShortConvolution, StateSpace> mixer;
    std::optional<CrossAttention> cross;
    std::optional<Mlp> mlp;  // state spaces have none
  };
  struct Calibration;
  Layer make_layer(const Context& ctx, std::int64_t index, const Weights& weights,
                   const DecoderFormats& formats, Calibration* calibration) const;
  void run_layers(const Context& ctx, const KvPages& pages, const DecoderBatch& batch,
                  const DeepRows* deep, Arena& arena, TensorView<float> x) const;
  void project(const Context& ctx, TensorView<const float> x, TensorView<float> y) const;
  void add_positions(const Context& ctx, const DecoderBatch& batch, TensorView<float> x) const;
  void mix(const Context& ctx, const Layer& layer, std::int64_t index, const KvPages& pages,
           const DecoderBatch& batch, Arena& arena, TensorView<float> x) const;

  DecoderConfig config_;
  kernels::Matrix embedding_, head_;  // head_ empty when tied
  bool tied_;
  Tensor positions_;  // [max_positions, hidden], where they are learned
  std::vector<Layer> layers_;
  Norm norm_;
};

}  // namespace chiasm::language
