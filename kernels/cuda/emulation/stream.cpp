#include "kernels/cuda/emulation/stream.h"

#include <utility>

#include "kernels/cuda/session.h"

namespace chiasm::device::emulation {

Stream& stream_of(const Session& session) { return *static_cast<Stream*>(session.stream); }

void Stream::add(std::function<void()> step) {
  const std::lock_guard lock(mutex_);
  steps_.push_back(std::move(step));
}

std::uint64_t Stream::asked() const {
  const std::lock_guard lock(mutex_);
  return done_ + steps_.size();
}

void Stream::run_to(std::uint64_t place) {
  const std::lock_guard one(running_);
  for (;;) {
    std::function<void()> step;
    {
      const std::lock_guard lock(mutex_);
      if (done_ >= place) return;
      step = std::move(steps_.front());
      steps_.pop_front();
      done_++;
    }
    step();
  }
}

}  // namespace chiasm::device::emulation
