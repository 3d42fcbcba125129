#pragma once
/// A stack of its own and a place to come back to.
#include <cstddef>

namespace chiasm::device::emulation {

class Fiber {
 public:
  static constexpr std::size_t kStackBytes = std::size_t(256) << 10;

  Fiber();
  ~Fiber();
  Fiber(Fiber&& other) noexcept;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  Fiber& operator=(Fiber&&) = delete;

  /// Makes the next `enter` begin `function`, which must never return.
  void prepare(void (*function)());
  /// Leaves the caller's stack for this one, until this one leaves.
  void enter();
  /// Back to who entered; `ends` where the fiber will not be entered again before it is prepared.
  void leave(bool ends);
  /// To be called first by a fiber's function.
  void arrived();

 private:
  std::byte* stack_;
  void* top_ = nullptr;     // where it stopped
  void* caller_ = nullptr;  // where who entered it stopped
  bool begins_ = false;     // whether it has been prepared and not entered yet
  void* sanitizer_ = nullptr;
  void* sanitizer_caller_ = nullptr;
  void* kept_ = nullptr;
  void* caller_kept_ = nullptr;
  const void* caller_stack_ = nullptr;
  std::size_t caller_stack_bytes_ = 0;
};

}  // namespace chiasm::device::emulation
