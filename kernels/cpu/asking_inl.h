#pragma once
/// Asks for a Fetch a little at a time, while something else is computed. For x86.
#include <immintrin.h>

#include "kernels/cpu/gemm.h"

namespace chiasm::kernels::cpu {
namespace {

class Asking {
 public:
  /// All of `fetch` in `times` calls of some().
  Asking(const Fetch& fetch, std::int64_t times)
      : at_(static_cast<const char*>(fetch.begin)), end_(at_ + fetch.bytes) {
    if (fetch.bytes > 0 && times > 0) {
      bytes_ = (int(fetch.bytes) / 64 + int(times)) / int(times) * 64;
    }
  }
  void some() {
    const char* const stop = at_ + bytes_ < end_ ? at_ + bytes_ : end_;
    for (; at_ < stop; at_ += 64) _mm_prefetch(at_, _MM_HINT_T1);
  }

 private:
  const char* at_;
  const char* end_;
  int bytes_ = 0;
};

}  // namespace
}  // namespace chiasm::kernels::cpu
