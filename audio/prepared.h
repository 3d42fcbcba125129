#pragma once
/// A sound as a feature extractor leaves it.
#include <cstdint>
#include <memory>

#include "core/tensor.h"

namespace chiasm::audio {

/// Log-mel features, cut into windows one after the other. Cheap to copy: a long sound's windows
/// share its features.
struct PreparedSound {
  std::shared_ptr<const Tensor> mel;  // [frames, bins] float32
  std::int64_t first = 0;             // frame where window 0 begins
  std::int64_t frames = 0;            // of sound, where padding follows that no row is made of

  /// Frames of window `index`; 0 where the sound is over. out: [frames of a window, bins].
  void window(std::int64_t index, TensorView<float> out) const;
};

}  // namespace chiasm::audio
