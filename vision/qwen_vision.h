#pragma once
/// The encoders of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures and frames in their own shapes,
/// positions that turn queries and keys along both sides, windows where a model has them.
/// Source: Wang et al., 2024, arXiv:2409.12191; Bai et al., 2025, arXiv:2502.13923; transformers'
/// Qwen2VisionTransformerPretrainedModel, Qwen2_5_VisionTransformerPretrainedModel and
/// Qwen3VLVisionModel.
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "vision/prepared.h"
#include "vision/qwen_vl_processor.h"
#include "vision/transformer.h"

namespace chiasm::vision {

/// A vision_config of one of the three.
struct QwenVisionConfig {
  TransformerConfig blocks;
  TransformerNames layer;
  PatchShape patch;
  bool patch_bias = false;
  std::int64_t out_hidden_size = 0;  // of the decoder that the rows go to
  double rope_theta = 10000;
  std::int64_t window = 0;                // tokens along a window's side; 0: every layer sees all
  std::vector<std::int64_t> full_layers;  // those that see all nevertheless
  std::int64_t position_side = 0;         // of the square table of learned positions; 0: none
  std::vector<std::int64_t> deep_layers;  // whose rows go to the decoder's first layers too

  /// Missing keys mean what they mean to transformers' config class. `family`: the whole model's
  /// model_type. ModelError for impossible sizes.
  static QwenVisionConfig from_json(const Json& config, std::string_view family);
};

/// What the encoder takes whole: one picture, or one step in time of a video.
struct QwenStep {
  const PreparedPicture* picture;
  std::int64_t step;
};

/// Immutable after construction; safe to share between threads.
class QwenVisionEncoder {
 public:
  using AfterLayer = std::function<void(std::int64_t layer, TensorView<const float> x)>;

  QwenVisionEncoder(const Context& ctx, const QwenVisionConfig& config, const Weights& weights,
                    kernels::WeightFormat format, kernels::WeightFormat patch_format);

  /// Features of each step's patches, one step below the other; the patches of one token stand
  /// together, the tokens in the order of token_order(). out: [patches of all steps, hidden].
  void forward(const Context& ctx, std::span<const QwenStep> steps, Arena& arena,
               TensorView<float> out, const AfterLayer& after_layer) const;
  /// Which token, counted through all steps in reading order, each group of rows of forward() is:
  /// windows one after the other, where there are any.
  std::vector<std::int64_t> token_order(std::span<const QwenStep> steps) const;

  const QwenVisionConfig& config() const { return config_; }
  std::size_t bytes() const;
  /// Floats of scratch that forward() takes for each row.
  std::int64_t scratch_per_row() const;
  /// Multiply-adds of one step of so many patches; windows count as whole ones.
  std::int64_t macs(std::int64_t patches) const;

 private:
  PatchGrid grid(const QwenStep& step) const;
  void embed(const Context& ctx, std::span<const QwenStep> steps,
             std::span<const std::int64_t> order, Arena& arena, TensorView<float> x) const;
  void write_positions(const PatchGrid& grid, TensorView<float> x) const;
  void turn(const Context& ctx, std::span<const QwenStep> steps,
            std::span<const std::int64_t> order, TensorView<float> cosine,
            TensorView<float> sine) const;

  QwenVisionConfig config_;
  kernels::LinearLayer patch_embedding_;
  Tensor positions_;  // [position_side^2, hidden]
  Transformer layers_;
};

}  // namespace chiasm::vision
