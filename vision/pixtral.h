#pragma once
/// The Pixtral vision transformer: pictures of any shape, rotary positions by row and column, RMS
/// norms, a gated MLP. Source: transformers' PixtralVisionModel; Agrawal et al., 2024,
/// arXiv:2410.07073.
#include <cstdint>
#include <span>
#include <vector>

#include "core/json.h"
#include "vision/transformer.h"
#include "vision/vit.h"

namespace chiasm::vision {

/// A vision_config of model type "pixtral".
struct PixtralConfig {
  TransformerConfig blocks;
  std::int64_t image_size = 0, patch_size = 0;  // pixels; of the largest picture, of a patch
  double rope_theta = 10000;

  /// ModelError for other types and sizes that do not describe such an encoder.
  static PixtralConfig from_json(const Json& config);
};

/// Tiles in, features out. Immutable after construction; safe to share between threads.
class PixtralEncoder {
 public:
  PixtralEncoder(const Context& ctx, const PixtralConfig& config, const Weights& weights,
                 kernels::WeightFormat format, kernels::WeightFormat patch_format);

  /// What leaves the last layer, the patches of each tile row by row, one tile below the other, as
  /// one packed batch in which no tile sees another. ShapeError for tiles whose sides are not
  /// multiples of the patch. out: [patches of all tiles, hidden].
  void forward(const Context& ctx, std::span<const VitTile> tiles, Arena& arena,
               TensorView<float> out) const;

  const PixtralConfig& config() const { return config_; }
  std::size_t bytes() const {
    return patch_embedding_.bytes() + first_norm_.bytes() + layers_.bytes();
  }
  /// Floats of scratch that forward() takes for each row.
  std::int64_t scratch_per_row() const;
  /// Multiply-adds of a tile of so many patches.
  std::int64_t tile_macs(std::int64_t patches) const;

 private:
  std::int64_t patch_values() const { return 3 * config_.patch_size * config_.patch_size; }

  PixtralConfig config_;
  kernels::LinearLayer patch_embedding_;
  kernels::NormLayer first_norm_;
  Transformer layers_;
  std::vector<float> inv_freq_;     // [head_dim / 2]: those of rows, then those of columns
  std::vector<std::uint8_t> axis_;  // likewise: 0 for rows, 1 for columns
};

}  // namespace chiasm::vision
