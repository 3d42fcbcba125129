#pragma once
/// The pre-norm transformer that all vision encoders share, over packed sequences of patches.
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/attention.h"
#include "kernels/linear_layer.h"
#include "kernels/norm_layer.h"

namespace chiasm::vision {

/// Sizes and variants of a stack of blocks.
struct TransformerConfig {
  std::int64_t hidden_size, intermediate_size, layers, heads;
  kernels::Activation activation;
  kernels::NormKind norm;
  bool qkv_bias = true, out_bias = true, mlp_bias = true;
  bool gated = false;        // down(act(gate(x)) * up(x)) instead of down(act(up(x)))
  bool layer_scale = false;  // a factor for each column of what joins the residual stream
  bool qk_norm = false;      // RMS norm of all heads' q and k together
};

/// What a checkpoint calls the parts of a layer. Those of SigLIP and CLIP, which most follow.
struct TransformerNames {
  std::string_view norm1 = "layer_norm1", norm2 = "layer_norm2";
  std::string_view attention = "self_attn", q = "q_proj", k = "k_proj", v = "v_proj",
                   out = "out_proj";
  std::string_view qkv = {};  // one tensor of q, k and v; then those three are not read
  std::string_view mlp = "mlp", up = "fc1", down = "fc2", gate = {};
  std::string_view scale1 = {}, scale2 = {};  // of layer_scale
  std::string_view q_norm = "q_norm", k_norm = "k_norm";
};

/// Which rows attend to which. See kernels::attention.
struct AttentionPattern {
  std::vector<kernels::AttentionSequence> sequences;
  std::vector<std::int32_t> first_key, last_key;  // [rows]

  /// Appends a sequence of the next `rows` rows, each of which sees the first `seen` of them.
  void add(std::int64_t rows, std::int64_t seen);
};

/// What a forward pass needs besides its rows.
struct TransformerInput {
  /// The pattern of layer i.
  std::function<const AttentionPattern&(std::int64_t layer)> pattern;
  /// Rotary tables [rows, head_dim / 2]; empty: none.
  TensorView<const float> cosine, sine;
  /// Called with the rows after each layer, when set.
  std::function<void(std::int64_t layer, TensorView<const float> x)> after_layer;
};

/// Blocks alone: embeddings before and norms after are each family's own. Immutable after
/// construction; safe to share between threads.
class Transformer {
 public:
  Transformer() = default;
  /// `layers` has a scope for each layer: layers.scope("0"), ...
  Transformer(const Context& ctx, const TransformerConfig& config, const TransformerNames& names,
              const Weights& layers, kernels::WeightFormat format);

  /// x += attention(norm1(x)); x += mlp(norm2(x)), layer after layer. x: [patches, hidden].
  /// Dosovitskiy et al., 2021, arXiv:2010.11929, equations 2 and 3.
  void forward(const Context& ctx, const TransformerInput& input, Arena& arena,
               TensorView<float> x) const;

  const TransformerConfig& config() const { return config_; }
  std::size_t bytes() const;
  /// Floats of scratch that forward() takes for each row.
  std::int64_t scratch_per_row() const;
  /// Multiply-adds of all layers for each of `rows` rows that see one another.
  std::int64_t macs_per_row(std::int64_t rows) const;

 private:
  struct Layer {
    kernels::NormLayer norm1, norm2, q_norm, k_norm;
    kernels::LinearLayer qkv, out, up, down;  // up: with the gate before it where gated
    Tensor scale1, scale2;
  };
  void attend(const Context& ctx, const Layer& layer, const AttentionPattern& pattern,
              const TransformerInput& input, Arena& arena, TensorView<float> x) const;
  void feed_forward(const Context& ctx, const Layer& layer, Arena& arena,
                    TensorView<float> x) const;
  /// x += scale * (layer's product of `from`).
  void join(const Context& ctx, const kernels::LinearLayer& layer, const Tensor& scale,
            TensorView<const float> from, Arena& arena, TensorView<float> x) const;

  TransformerConfig config_{};
  bool bf16_products_ = false, int8_scores_ = false;  // of attention
  std::vector<Layer> layers_;
};

}  // namespace chiasm::vision
