#pragma once
/// The plain vision transformer over square pictures of one size: CLIP, SigLIP, InternViT.
/// Source: Dosovitskiy et al., 2021, arXiv:2010.11929; transformers' CLIPVisionModel,
/// SiglipVisionModel and InternVLVisionModel.
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "core/json.h"
#include "vision/prepared.h"
#include "vision/transformer.h"

namespace chiasm::vision {

/// A vision_config of one of the model types named above.
struct VitConfig {
  TransformerConfig blocks;
  std::int64_t image_size = 0, patch_size = 0;  // pixels
  bool class_token = false;                     // a row of its own before the patches
  bool patch_bias = true, pre_norm = false, post_norm = true;

  // What the checkpoint calls the parts.
  TransformerNames layer;
  std::string_view layers = "encoder.layers", class_embedding = "embeddings.class_embedding",
                   patch_embedding = "embeddings.patch_embedding",
                   position_embedding = "embeddings.position_embedding.weight",
                   pre_norm_name = "pre_layrnorm", post_norm_name = "post_layernorm";
  bool leading_one = false;  // class and position tables begin with a dimension of 1

  /// Missing keys mean what they mean to transformers' config class of that type; `otherwise` is
  /// the type of a config that names none. ModelError for other types and impossible sizes.
  static VitConfig from_json(const Json& config, std::string_view otherwise);

  std::int64_t side() const { return image_size / patch_size; }
  /// Rows of one picture, the class token's included.
  std::int64_t rows() const { return side() * side() + (class_token ? 1 : 0); }
};

/// A tile to encode: `index` of a prepared picture.
struct VitTile {
  const PreparedPicture* picture;
  std::int64_t index;
};

/// Tiles in, features out. Immutable after construction; safe to share between threads.
class VitEncoder {
 public:
  using AfterLayer = std::function<void(std::int64_t layer, TensorView<const float> x)>;

  VitEncoder(const Context& ctx, const VitConfig& config, const Weights& weights,
             kernels::WeightFormat format, kernels::WeightFormat patch_format);

  /// Features of each tile's rows, one tile below the other, the class token first; after the last
  /// norm where there is one. ShapeError for tiles of another size than image_size. `after_layer`
  /// sees the rows after each layer. out: [tiles * rows(), hidden].
  void forward(const Context& ctx, std::span<const VitTile> tiles, Arena& arena,
               TensorView<float> out, const AfterLayer& after_layer = {}) const;

  const VitConfig& config() const { return config_; }
  const Transformer& layers() const { return layers_; }
  std::size_t bytes() const;
  /// Floats of scratch that forward() takes for each row.
  std::int64_t scratch_per_row() const;
  /// Multiply-adds of one tile.
  std::int64_t tile_macs() const;

 private:
  void embed(const Context& ctx, std::span<const VitTile> tiles, Arena& arena,
             TensorView<float> x) const;

  VitConfig config_;
  kernels::LinearLayer patch_embedding_;
  Tensor class_embedding_, position_embedding_;
  kernels::NormLayer pre_norm_, post_norm_;
  Transformer layers_;
};

}  // namespace chiasm::vision
