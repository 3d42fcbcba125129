#pragma once
/// From one sample rate to another.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "audio/sound.h"

namespace chiasm::audio {

/// Resamples a stream of one channel, block by block, so that a long sound is never in memory at
/// both rates. The samples do not depend on how the stream is cut. libsoxr at its high quality.
class Resampler {
 public:
  /// MediaError for rates outside [kMinRate, kMaxRate].
  Resampler(std::int64_t from, std::int64_t to);

  /// Takes the next samples and appends what became ready to `out`.
  void push(std::span<const float> samples, std::vector<float>& out);
  /// Ends the stream: appends the rest. In all, samples * to / from come out, rounded.
  void finish(std::vector<float>& out);

 private:
  struct Free {
    void operator()(void* handle) const;
  };
  void run(const float* in, std::size_t count, std::vector<float>& out);

  std::unique_ptr<void, Free> handle_;  // soxr_t; none when the rates are equal
  double ratio_ = 1;
};

/// The whole of a sound at another rate.
Waveform resample(const Waveform& sound, std::int64_t rate);

}  // namespace chiasm::audio
