#pragma once
/// The SigLIP vision transformer, in the variable-resolution form of Idefics3 and SmolVLM.
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/json.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"
#include "vision/transformer.h"

namespace chiasm::vision {

/// `vision_config` of an idefics3 or smolvlm config.json.
struct SiglipConfig {
  std::int64_t hidden_size, intermediate_size, layers, heads, channels, image_size, patch_size;
  float layer_norm_eps;
  kernels::Activation activation;

  /// `defaults`: what transformers assumes for keys the file leaves out.
  static SiglipConfig from_json(const Json& config, const SiglipConfig& defaults);
  std::int64_t side() const { return image_size / patch_size; }  // of the position table, patches
};

/// One picture or tile for the encoder: normalised pixels and how much of it is real.
struct EncoderTile {
  TensorView<const float> pixels;  // [channels, height, width], sides multiples of patch_size
  std::int64_t valid_height, valid_width;  // pixels; beyond lies padding
};

/// Position ids of a grid of patches: fractional coordinates bucketed into the trained grid, with
/// the reference's float32 rounding. Padding gets 0. [rows * cols].
/// Source: Dehghani et al., 2023, arXiv:2307.06304; transformers' SmolVLMVisionEmbeddings.
std::vector<std::int32_t> bucketed_positions(std::int64_t rows, std::int64_t cols,
                                             std::int64_t valid_rows, std::int64_t valid_cols,
                                             std::int64_t side);

/// Tiles in, features out. Immutable after construction; safe to share between threads.
class SiglipEncoder {
 public:
  /// `weights` has scope "model.vision_model". `format` is that of the layers; the patch embedding,
  /// whose inputs are raw pixels, has its own.
  SiglipEncoder(const Context& ctx, const SiglipConfig& config, const Weights& weights,
                kernels::WeightFormat format, kernels::WeightFormat patch_format);

  /// Features after the last norm, the patches of all tiles one below the other in row-major order.
  /// All tiles run as one packed batch; no tile sees another. out: [patches of all tiles, hidden].
  void forward(const Context& ctx, std::span<const EncoderTile> tiles, Arena& arena,
               TensorView<float> out) const;

  const SiglipConfig& config() const { return config_; }
  const Transformer& layers() const { return layers_; }
  std::size_t bytes() const;

 private:
  struct Packed;
  Packed embed(const Context& ctx, std::span<const EncoderTile> tiles, Arena& arena,
               TensorView<float> x) const;

  SiglipConfig config_;
  kernels::LinearLayer patch_embedding_;
  Tensor position_embedding_;
  Transformer layers_;
  kernels::NormLayer norm_;
};

}  // namespace chiasm::vision
