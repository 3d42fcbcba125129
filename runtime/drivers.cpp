#include "runtime/drivers.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"

namespace chiasm {

namespace {

/// What the drivers' threads and the caller's tell each other.
class Gathering {
 public:
  void drive(const Driver& driver) {
    std::size_t told = 0;
    try {
      driver([this] { return stop_.load(); },
             [&](std::size_t done) {
               const std::scoped_lock lock(mutex_);
               done_ += done - std::exchange(told, done);
               changed_.notify_all();
             });
    } catch (...) {
      stop(std::current_exception());
    }
    leave();
  }

  void enter() {
    const std::scoped_lock lock(mutex_);
    running_++;
  }
  void leave() {
    const std::scoped_lock lock(mutex_);
    running_--;
    changed_.notify_all();
  }

  /// The first error stops all.
  void stop(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (!error_) error_ = std::move(error);
    stop_ = true;
  }

  /// Returns once all have left.
  void hear(const Poll& poll, const OnDone& on_done) {
    using namespace std::chrono_literals;
    std::size_t told = 0;
    for (bool over = false; !over;) {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, 50ms, [&] { return running_ == 0 || done_ > told; });
      over = running_ == 0;  // bounded, so that `poll` is heard
      const std::size_t done = done_;
      const bool failed = error_ != nullptr;
      lock.unlock();
      try {
        if (on_done && !failed && done > told) on_done(done);
        told = done;
        if (!over && !failed && poll && poll()) fail<Interrupted>("interrupted by the caller");
      } catch (...) {
        stop(std::current_exception());
      }
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t running_ = 0, done_ = 0;
  std::exception_ptr error_;
  std::atomic<bool> stop_ = false;
};

}  // namespace

void drive_all(std::span<const Driver> drivers, const Poll& poll, const OnDone& on_done) {
  Gathering gathering;
  std::vector<std::jthread> threads;  // all have ended before `gathering` does
  for (const Driver& driver : drivers) {
    gathering.enter();
    try {
      threads.emplace_back([&gathering, &driver] { gathering.drive(driver); });
    } catch (...) {  // no more threads
      gathering.stop(std::current_exception());
      gathering.leave();
      break;
    }
  }
  gathering.hear(poll, on_done);
}

}  // namespace chiasm
