#pragma once
/// One pool of threads for a process, handed down in a Context.
#include <cstdint>
#include <functional>
#include <memory>

namespace chiasm {

/// A non-owning reference to a callable taking (begin, end): what parallel_for runs.
class RangeFunction {
 public:
  template <class F>
  RangeFunction(const F& f)  // NOLINT(google-explicit-constructor)
      : object_(&f), call_([](const void* o, std::int64_t b, std::int64_t e) {
          (*static_cast<const F*>(o))(b, e);
        }) {}
  void operator()(std::int64_t begin, std::int64_t end) const { call_(object_, begin, end); }

 private:
  const void* object_;
  void (*call_)(const void*, std::int64_t, std::int64_t);
};

/// Fork-join over index ranges. Workers spin briefly after a job, then sleep, so an idle process
/// burns no core. Thread-safe: concurrent parallel_for calls from different threads take turns;
/// a nested call (from inside a job) runs inline on the calling thread.
class ThreadPool {
 public:
  /// `threads` includes the caller; 0 takes available_cpus().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;
  /// Splits [0, count) into pieces of about `grain` (at least 1) and runs work(begin, end) on the
  /// caller and the workers, returning when all are done. The first exception is rethrown here.
  /// Pieces always begin at multiples of `grain`, whatever the number of threads.
  void parallel_for(std::int64_t count, std::int64_t grain, RangeFunction work);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// CPUs this process may use: the affinity mask, cut by the container's CPU quota (cgroup v1, v2).
int available_cpus();

}  // namespace chiasm
