#pragma once
/// What this machine can do at most: the yardstick of every figure in bench/.
#include <cstddef>
#include <optional>
#include <vector>

#include "core/isa.h"
#include "core/tensor.h"
#include "core/thread_pool.h"

namespace chiasm::bench {

enum class Arithmetic { fp32, bf16, int8 };

/// Operations per second (multiply and add: two) of the register-only loop on all threads of the
/// pool at once, the best of `tries` tries of about 10 ms. Nothing when `isa` lacks it.
std::optional<double> peak_rate(ThreadPool& pool, Isa isa, Arithmetic arithmetic, int tries = 5);

/// Memory that all threads read side by side, each its own part. Touched once at the start.
class ReadBandwidth {
 public:
  explicit ReadBandwidth(std::size_t bytes_per_thread, int threads, bool huge_pages = true);
  /// Bytes per second over all threads, the best of `tries` passes of at least 20 ms.
  double measure(ThreadPool& pool, Isa isa, int tries = 5) const;

 private:
  std::size_t part_;
  int threads_;
  Tensor memory_;
};

}  // namespace chiasm::bench
