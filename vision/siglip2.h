#pragma once
/// The SigLIP 2 vision transformer in its NaFlex form: pictures of any grid of patches, learned
/// positions resized to each. Source: Tschannen et al., 2025, arXiv:2502.14786; transformers'
/// Siglip2VisionModel.
#include <cstdint>
#include <span>

#include "core/json.h"
#include "vision/feature_resize.h"
#include "vision/transformer.h"

namespace chiasm::vision {

/// A vision_config of model type "siglip2_vision_model".
struct Siglip2Config {
  TransformerConfig blocks;
  std::int64_t patch_size = 0;     // pixels
  std::int64_t position_side = 0;  // of the square table of learned positions, patches

  /// ModelError for other types and sizes that do not describe such an encoder.
  static Siglip2Config from_json(const Json& config);
  /// Values of a patch.
  std::int64_t patch_values() const { return 3 * patch_size * patch_size; }
};

/// Patches in, features out. Immutable after construction; safe to share between threads.
class Siglip2Encoder {
 public:
  Siglip2Encoder(const Context& ctx, const Siglip2Config& config, const Weights& weights,
                 kernels::WeightFormat format, kernels::WeightFormat patch_format);

  /// Features after the last norm. All grids run as one packed batch; none sees another.
  /// patches: [patches of all grids, patch_values()], each grid row by row, one below the other,
  /// each patch [row, column, channel]; out: [patches of all grids, hidden].
  void forward(const Context& ctx, TensorView<const float> patches, std::span<const GridSize> grids,
               Arena& arena, TensorView<float> out) const;

  const Siglip2Config& config() const { return config_; }
  std::size_t bytes() const;
  /// Floats of scratch that forward() takes for each row.
  std::int64_t scratch_per_row() const { return layers_.scratch_per_row(); }
  /// Multiply-adds of one grid of so many patches.
  std::int64_t macs(std::int64_t patches) const;

 private:
  void add_positions(std::span<const GridSize> grids, Arena& arena, TensorView<float> x) const;

  Siglip2Config config_;
  kernels::LinearLayer patch_embedding_;
  Tensor positions_;  // [position_side^2, hidden]
  Transformer layers_;
  kernels::NormLayer norm_;
};

}  // namespace chiasm::vision
