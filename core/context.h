#pragma once
/// What every operation needs besides its tensors: where to run, and who is watching.
#include <functional>
#include <string_view>

#include "core/error.h"
#include "core/isa.h"
#include "core/profile.h"
#include "core/tensor.h"
#include "core/thread_pool.h"

namespace chiasm {

class Device;
struct AdaptedRows;

/// Passed by const reference down every forward pass. Cheap to copy; owns nothing.
struct Context {
  ThreadPool* pool = nullptr;  // never null once made by the runtime
  Isa isa = Isa::portable;
  /// Where operators run, with their rows in its memory (core/device.h). Null: the CPU.
  Device* device = nullptr;
  /// Which rows go through low-rank adapters (kernels/adapter.h). Null: none.
  const AdaptedRows* adapted = nullptr;
  /// A debug tap: called with the name and values of intermediates, outermost module first
  /// ("vision.layers.3.out"). Null means none. Used by parity tests to name the first stage that
  /// departs from the reference.
  const std::function<void(std::string_view, TensorView<const float>)>* tap = nullptr;
  /// Collects the time of every operator. Null means nobody asks.
  Profile* profile = nullptr;
  /// Polled between layers and tiles; returning true makes the operation throw Interrupted.
  const std::function<bool()>* interrupted = nullptr;

  void show(std::string_view stage, TensorView<const float> values) const;
  void poll() const {
    if (interrupted != nullptr && (*interrupted)()) fail<Interrupted>("interrupted by the caller");
  }
};

}  // namespace chiasm
