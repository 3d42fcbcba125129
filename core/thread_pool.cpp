#include "core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/cpu_quota.h"

namespace chiasm {

namespace {

// Long enough to bridge the serial work between two operators, short enough to cost no battery.
constexpr std::chrono::microseconds kSpin(50);
constexpr std::int64_t kMaxPieces = std::int64_t(1) << 31;

thread_local bool inside_a_job = false;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits for `ready` by spinning for a short while; false when time ran out.
template <class Ready>
bool spin_until(const Ready& ready, std::chrono::microseconds limit) {
  if (ready()) return true;
  const auto end = std::chrono::steady_clock::now() + limit;
  while (limit.count() > 0) {
    for (int i = 0; i < 16; i++) {
      if (ready()) return true;
      pause_briefly();
    }
    if (std::chrono::steady_clock::now() > end) break;
  }
  return false;
}

// The inline form of parallel_for: the same pieces, one after the other.
void run_inline(std::int64_t count, std::int64_t grain, const RangeFunction& work) {
  for (std::int64_t begin = 0; begin < count; begin += grain) {
    work(begin, std::min(begin + grain, count));
  }
}

// Marks this thread as running a job, also when the job throws.
struct JobMark {
  JobMark() { inside_a_job = true; }
  ~JobMark() { inside_a_job = false; }
};

}  // namespace

/// One job at a time, cut into pieces that threads claim one by one. The caller never waits for a
/// sleeping worker: whoever comes first takes the pieces, and the job ends when all are done.
struct ThreadPool::Impl {
  std::mutex turn;  // held by the thread whose job is running

  // The job. Written while `left` is 0, read only by holders of a piece: a held piece keeps the job
  // alive, and claiming it synchronises with its publication.
  const RangeFunction* work = nullptr;
  std::int64_t count = 0, grain = 1, pieces = 0;
  std::exception_ptr error;  // guarded by `lock`

  alignas(64) std::atomic<std::int64_t> left{0};  // pieces not yet claimed
  alignas(64) std::atomic<std::int64_t> done{0};  // pieces finished
  std::atomic<bool> failed{false};

  alignas(64) std::mutex lock;  // for sleeping and waking only
  std::condition_variable work_ready, job_done;
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stop{false};

  std::vector<std::thread> workers;
  std::chrono::microseconds spin = kSpin;

  void worker();
  void take_pieces();
  void run_piece(std::int64_t index);
  void wake_workers(std::int64_t wanted);
  void wait_for_end();
};

// Claims and runs pieces until none is left.
void ThreadPool::Impl::take_pieces() {
  std::int64_t n = left.load();
  while (n > 0) {
    // An exchange and not a subtraction: a late worker must not take `left` below zero, nor touch
    // the job's fields unless it holds a piece of it.
    if (!left.compare_exchange_weak(n, n - 1)) continue;
    run_piece(pieces - n);
    n = left.load();
  }
}

void ThreadPool::Impl::run_piece(std::int64_t index) {
  const std::int64_t total = pieces;
  if (!failed.load(std::memory_order_relaxed)) {
    try {
      const JobMark mark;
      const std::int64_t begin = index * grain;
      (*work)(begin, std::min(begin + grain, count));
    } catch (...) {
      const std::lock_guard hold(lock);
      if (!error) error = std::current_exception();
      failed = true;
    }
  }
  // After the last increment the caller may start another job: no field of this one is read below.
  if (done.fetch_add(1) + 1 == total && caller_sleeps) {
    const std::lock_guard hold(lock);
    job_done.notify_one();
  }
}

void ThreadPool::Impl::worker() {
  const auto awaited = [this] { return left.load() > 0 || stop.load(); };
  while (true) {
    if (!spin_until(awaited, spin)) {
      std::unique_lock hold(lock);
      sleepers++;  // before `awaited` is checked again: the caller publishes, then looks here
      work_ready.wait(hold, awaited);
      sleepers--;
    }
    if (stop) return;
    take_pieces();
  }
}

void ThreadPool::Impl::wake_workers(std::int64_t wanted) {
  if (sleepers == 0) return;
  const std::lock_guard hold(lock);
  for (std::int64_t i = 0; i < std::min<std::int64_t>(wanted, sleepers); i++) {
    work_ready.notify_one();
  }
}

void ThreadPool::Impl::wait_for_end() {
  const auto ended = [this] { return done.load() == pieces; };
  if (spin_until(ended, spin)) return;
  std::unique_lock hold(lock);
  caller_sleeps = true;
  job_done.wait(hold, ended);
  caller_sleeps = false;
}

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  const int cpus = available_cpus();
  const int wanted = threads > 0 ? threads : cpus;
  if (wanted > cpus) impl_->spin = std::chrono::microseconds(0);  // spinning would steal their time
  for (int i = 1; i < wanted; i++) impl_->workers.emplace_back([this] { impl_->worker(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard hold(impl_->lock);
    impl_->stop = true;
    impl_->work_ready.notify_all();
  }
  for (std::thread& worker : impl_->workers) worker.join();
}

int ThreadPool::threads() const { return int(impl_->workers.size()) + 1; }

void ThreadPool::parallel_for(std::int64_t count, std::int64_t grain, RangeFunction work) {
  if (count <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  const std::int64_t pieces = (count - 1) / grain + 1;
  Impl& pool = *impl_;
  if (pieces == 1 || pieces >= kMaxPieces || pool.workers.empty() || inside_a_job) {
    return run_inline(count, grain, work);
  }
  const std::lock_guard hold(pool.turn);
  pool.work = &work;
  pool.count = count;
  pool.grain = grain;
  pool.pieces = pieces;
  pool.error = nullptr;
  pool.failed = false;
  pool.done = 0;
  pool.left = pieces;  // publishes the job
  pool.wake_workers(pieces - 1);
  pool.take_pieces();
  pool.wait_for_end();
  if (pool.error) std::rethrow_exception(pool.error);
}

int available_cpus() {
  static const int cpus = [] {
    int affinity = int(std::thread::hardware_concurrency());
    // Machines of more than CPU_SETSIZE processors need a larger mask.
    for (int size = CPU_SETSIZE; size <= CPU_SETSIZE * 64; size *= 4) {
      cpu_set_t* set = CPU_ALLOC(std::size_t(size));
      if (set == nullptr) break;
      const std::size_t bytes = CPU_ALLOC_SIZE(std::size_t(size));
      const bool known = sched_getaffinity(0, bytes, set) == 0;
      if (known) affinity = CPU_COUNT_S(bytes, set);
      CPU_FREE(set);
      if (known) break;
    }
    std::ifstream file("/proc/self/cgroup");
    const std::string groups((std::istreambuf_iterator<char>(file)),
                             std::istreambuf_iterator<char>());
    return usable_cpus(affinity, cgroup_cpu_limit(groups, "/sys/fs/cgroup"));
  }();
  return cpus;
}

}  // namespace chiasm
