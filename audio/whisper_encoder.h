#pragma once
/// Whisper's encoder and that of its relatives: log-mel features of a window in, one row of
/// features for each 20 ms out.
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/json.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"

namespace chiasm::audio {

/// The encoder's part of a whisper config.json.
struct WhisperEncoderConfig {
  std::int64_t hidden_size, intermediate_size, layers, heads;
  std::int64_t bins;       // of a frame of features
  std::int64_t positions;  // rows of a window; it takes twice as many frames
  kernels::Activation activation;
  /// Neighbouring rows of a window averaged into one before the last norm; what is left is dropped.
  std::int64_t pooled = 1;

  /// Missing keys are as transformers assumes for a Whisper. ModelError for what makes no sense.
  static WhisperEncoderConfig from_json(const Json& config);
  /// The same for relatives of Whisper's largest encoder (Qwen2-Audio, Voxtral), which also have
  /// other names for the sizes.
  static WhisperEncoderConfig large_from_json(const Json& config);
  std::int64_t frames() const { return 2 * positions; }
};

/// A window's features, and how many rows are made of them: of frames of silence after a sound,
/// none need be.
struct WhisperWindow {
  TensorView<const float> mel;  // [frames, bins], at most frames() of them; zeros follow
  std::int64_t rows = 0;        // at most (frames + 1) / 2
};

/// One pre-norm transformer block.
class WhisperEncoderLayer {
 public:
  WhisperEncoderLayer(const Context& ctx, const WhisperEncoderConfig& config,
                      const Weights& weights, kernels::WeightFormat format);
  std::size_t bytes() const;

 private:
  friend class WhisperEncoder;
  Tensor norm1_weight_, norm1_bias_, norm2_weight_, norm2_bias_;
  kernels::LinearLayer qkv_, out_, up_, down_;
};

/// Immutable after construction; safe to share between threads.
/// Radford et al., 2022, arXiv:2212.04356; transformers' WhisperEncoder.
class WhisperEncoder {
 public:
  /// `weights` has scope "model.encoder". `format` is that of the layers; the convolutions, whose
  /// inputs are raw features, have their own.
  WhisperEncoder(const Context& ctx, const WhisperEncoderConfig& config, const Weights& weights,
                 kernels::WeightFormat format, kernels::WeightFormat convolution_format);

  /// Features after the last norm. All windows run as one packed batch; no window sees another, and
  /// no row sees what its window has beyond `rows`.
  /// out: [sum of the windows' rows / pooled, hidden_size].
  void forward(const Context& ctx, std::span<const WhisperWindow> windows, Arena& arena,
               TensorView<float> out) const;

  const WhisperEncoderConfig& config() const { return config_; }
  std::size_t bytes() const;
  /// Multiply-adds of a window of `rows` rows, attention included.
  std::int64_t macs(std::int64_t rows) const;
  /// Scratch bytes of `forward` for `rows` rows of all windows together.
  std::size_t scratch_bytes(std::int64_t rows) const;

 private:
  void convolve(const Context& ctx, const WhisperWindow& window, Arena& arena,
                TensorView<float> x) const;
  void layer(const Context& ctx, const WhisperEncoderLayer& layer,
             std::span<const WhisperWindow> windows, Arena& arena, TensorView<float> x) const;

  WhisperEncoderConfig config_;
  bool bf16_products_;  // of attention
  kernels::LinearLayer conv1_, conv2_;
  Tensor position_embedding_, norm_weight_, norm_bias_;
  std::vector<WhisperEncoderLayer> layers_;
};

}  // namespace chiasm::audio
