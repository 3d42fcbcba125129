#pragma once
/// The work of an emulated session, done as late as the program allows: what was asked for waits
/// until the host waits for it. A host that overwrites what an earlier copy has yet to read, or
/// reads what a later one brings, gets the wrong numbers here each time, and beside a card once in
/// a while.
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>

namespace chiasm::device {
struct Session;
}

namespace chiasm::device::emulation {

/// Thread-safe: memory is given back, and with it work finished, by any thread.
class Stream {
 public:
  void add(std::function<void()> step);
  /// Steps that were asked for so far.
  std::uint64_t asked() const;
  /// Does what is left of the first `place` steps, in their order.
  void run_to(std::uint64_t place);
  void finish() { run_to(asked()); }

 private:
  std::mutex running_;  // one thread at a time; taken before the other
  mutable std::mutex mutex_;
  std::deque<std::function<void()>> steps_;
  std::uint64_t done_ = 0;
};

Stream& stream_of(const Session& session);

}  // namespace chiasm::device::emulation
