#pragma once
/// Transformers that read a text for its vectors: BERT and its relatives, and the text towers of
/// CLIP and SigLIP.
/// Sources: Devlin et al., 2019, arXiv:1810.04805; Radford et al., 2021, arXiv:2103.00020; Zhai et
/// al., 2023, arXiv:2303.15343; transformers' BertModel, CLIPTextTransformer,
/// SiglipTextTransformer.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"
#include "kernels/norm_layer.h"
#include "language/decoder.h"

namespace chiasm::language {

/// What a checkpoint calls the parts. An empty name: it has no such part.
struct TextEncoderNames {
  std::string_view words, positions, types, embedding_norm, layers, final_norm;
  std::string_view norm1, norm2, q, k, v, out, up, down;  // within a layer
  std::string_view distances = {};                        // see distance_buckets
};

struct TextEncoderConfig {
  std::int64_t hidden_size = 0, intermediate_size = 0, layers = 0, heads = 0, vocab_size = 0;
  std::int64_t positions = 0;       // rows of the position table
  std::int64_t first_position = 0;  // of a text's first token: RoBERTa's tables begin later
  std::int64_t types = 0;           // rows of the token type table, of which the first is used
  kernels::Activation activation = kernels::Activation::gelu;
  kernels::NormKind norm;
  bool post_norm = false;  // BERT: each sum is normed; else what enters each part of a layer is
  // MPNet: a bias of attention for each distance of two tokens, of so many buckets, the same in all
  // layers (kernels/relative_attention.h).
  std::int64_t distance_buckets = 0;
  bool causal = false;  // CLIP: a token sees itself and those before it; else all see all
  TextEncoderNames names;

  /// The longest text.
  std::int64_t max_tokens() const { return positions - first_position; }
  /// `where` names the config. ModelError unless the sizes describe an encoder.
  void check(const std::string& where) const;
};

/// Texts in, a vector for each token out. Immutable after construction; safe to share between
/// threads.
class TextEncoder {
 public:
  TextEncoder(const Context& ctx, const TextEncoderConfig& config, const Weights& weights,
              const DecoderFormats& formats);

  /// All texts run as one packed batch; no text sees another, so that a row depends on its own text
  /// alone, bit for bit. Every text has 1 to max_tokens() ids; RequestError for an id outside the
  /// vocabulary. out: [tokens of all texts, hidden], after the last norm where there is one.
  void forward(const Context& ctx, std::span<const std::vector<std::int32_t>> texts, Arena& arena,
               TensorView<float> out) const;

  const TextEncoderConfig& config() const { return config_; }
  std::size_t bytes() const;

 private:
  struct Layer {
    kernels::NormLayer norm1, norm2;
    kernels::LinearLayer qkv, out, up, down;
  };
  struct Pattern;

  void embed(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
             TensorView<float> x) const;
  void attend(const Context& ctx, const Layer& layer, const Pattern& pattern, Arena& arena,
              TensorView<float> x) const;
  /// Attention alone. qkv: [rows, 3 * hidden]; mixed: [rows, hidden].
  void mix(const Context& ctx, const Pattern& pattern, TensorView<const float> qkv,
           TensorView<float> mixed) const;
  void feed_forward(const Context& ctx, const Layer& layer, Arena& arena,
                    TensorView<float> x) const;

  TextEncoderConfig config_;
  bool bf16_products_;  // of attention
  kernels::Matrix words_;
  Tensor positions_, types_, distances_;
  kernels::NormLayer embedding_norm_, final_norm_;
  std::vector<Layer> layers_;
};

}  // namespace chiasm::language
