#pragma once
/// From samples to the features that Whisper's encoder and its relatives take.
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "audio/fft.h"
#include "core/context.h"
#include "core/json.h"
#include "core/tensor.h"

namespace chiasm::audio {

/// What a preprocessor_config.json of `feature_extractor_type` WhisperFeatureExtractor says.
struct LogMelConfig {
  std::int64_t bins = 80;                // feature_size
  std::int64_t rate = 16'000;            // Hz
  std::int64_t window = 400, hop = 160;  // samples
  std::int64_t chunk_seconds = 30;       // one window of the encoder

  /// Missing keys are as transformers assumes. ModelError for what makes no sense.
  static LogMelConfig from_json(const Json& config);
  std::int64_t chunk_samples() const { return chunk_seconds * rate; }
  std::int64_t chunk_frames() const { return chunk_samples() / hop; }
};

/// Log-mel spectrogram as transformers' WhisperFeatureExtractor computes it: reflected edges, Hann
/// window, power spectrum, Slaney's mel scale up to 8 kHz with triangles of unit area, log10
/// clamped to eight decades under the loudest value, then (x + 4) / 4. Immutable; safe to share.
/// The reference transforms in float32, this in double: they differ by the reference's rounding.
/// Where `ctx` has a device, it transforms, in double as well and in another order.
class LogMel {
 public:
  explicit LogMel(const LogMelConfig& config);

  const LogMelConfig& config() const { return config_; }
  /// Rows for `samples` samples.
  std::int64_t frames(std::int64_t samples) const { return samples / config_.hop; }

  /// Features of a sound cut or padded with silence to `length` samples. A frame's row depends on
  /// the rest of the sound through the loudest value alone. out: [frames(length), bins] float32
  /// (the reference has them transposed). RequestError unless `length` is longer than half a
  /// window, what reflection needs.
  void operator()(const Context& ctx, std::span<const float> samples, std::int64_t length,
                  TensorView<float> out) const;

 private:
  /// log10 of the mel powers of all frames, by the device of `ctx`.
  void powers_on_device(const Context& ctx, std::span<const float> samples, std::int64_t length,
                        TensorView<float> out) const;
  /// A triangle over frequencies [first, first + count), whose weights begin at `begin`; laid out
  /// as LogMelCall has it.
  struct Filter {
    std::int32_t first = 0, count = 0, begin = 0;
  };
  void group(std::span<const float> samples, std::int64_t length, std::int64_t first_frame,
             std::span<double> scratch, TensorView<float> out) const;

  LogMelConfig config_;
  RealFft fft_;
  std::vector<double> hann_;
  std::vector<Filter> filters_;
  std::vector<float> filter_weights_;
  std::vector<double> roots_;  // for a device: cosines, then sines
};

}  // namespace chiasm::audio
