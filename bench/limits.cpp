#include "bench/limits.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "bench/peaks.h"

namespace chiasm::bench {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Peak peak_loop([[maybe_unused]] Isa isa, Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::fp32:
#if defined(__x86_64__)
      if (isa == Isa::avx512) return peak_fp32_avx512;
      if (isa == Isa::avx2) return peak_fp32_avx2;
#endif
      return peak_fp32_portable;
    case Arithmetic::bf16:
#if defined(__x86_64__)
      if (isa == Isa::avx512 && has_avx512_bf16()) return peak_bf16_avx512;
#endif
      return nullptr;
    case Arithmetic::int8:
#if defined(__x86_64__)
      if (isa == Isa::avx512) return peak_int8_avx512;
#endif
      return nullptr;
  }
  return nullptr;
}

Read read_loop([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512) return read_avx512;
  if (isa == Isa::avx2) return read_avx2;
#endif
  return read_portable;
}

// Runs work(thread) once on every thread of the pool at the same time: each waits for all others.
template <class Work>
double timed_on_all(ThreadPool& pool, const Work& work) {
  std::atomic<int> waiting{pool.threads()};
  std::atomic<std::int64_t> begin{0}, end{0};
  pool.parallel_for(pool.threads(), 1, [&](std::int64_t thread, std::int64_t) {
    waiting--;
    while (waiting > 0) continue;
    const std::int64_t started = Clock::now().time_since_epoch().count();
    work(thread);
    const std::int64_t ended = Clock::now().time_since_epoch().count();
    std::int64_t first = 0;  // the first to start and the last to end give the time
    if (!begin.compare_exchange_strong(first, started)) {
      while (started < first && !begin.compare_exchange_weak(first, started)) continue;
    }
    std::int64_t last = end;
    while (ended > last && !end.compare_exchange_weak(last, ended)) continue;
  });
  return std::chrono::duration<double>(Clock::duration(end - begin)).count();
}

}  // namespace

std::optional<double> peak_rate(ThreadPool& pool, Isa isa, Arithmetic arithmetic, int tries) {
  const Peak loop = peak_loop(isa, arithmetic);
  if (loop == nullptr || !supported(isa)) return std::nullopt;
  std::int64_t rounds = 1000;
  for (double seconds = 0; seconds < 0.005; rounds *= 2) {
    const auto start = Clock::now();
    loop(rounds);
    seconds = seconds_since(start);
  }
  double best = 0;
  for (int i = 0; i < tries; i++) {
    std::atomic<double> operations{0};
    const double seconds = timed_on_all(pool, [&](std::int64_t) {
      const double done = loop(rounds);
      operations.store(done * pool.threads());  // the same for every thread
    });
    best = std::max(best, operations / seconds);
  }
  return best;
}

ReadBandwidth::ReadBandwidth(std::size_t bytes_per_thread, int threads, bool huge_pages)
    : part_(bytes_per_thread / 4096 * 4096),
      threads_(threads),
      memory_(DType::u8, {std::int64_t(part_) * threads + 16384}) {
  if (huge_pages) madvise(memory_.data(), memory_.bytes(), MADV_HUGEPAGE);
  std::memset(memory_.data(), 1, memory_.bytes());
}

double ReadBandwidth::measure(ThreadPool& pool, Isa isa, int tries) const {
  const Read loop = read_loop(isa);
  const std::size_t passes = std::max<std::size_t>(1, std::size_t(600e6) / (part_ * 2));
  double best = 0;
  for (int i = 0; i < tries; i++) {
    std::atomic<std::uint64_t> sink{0};
    const double seconds = timed_on_all(pool, [&](std::int64_t thread) {
      const std::byte* part = memory_.data() + std::size_t(thread % threads_) * part_;
      for (std::size_t p = 0; p < passes; p++) sink ^= loop(part, part_);
    });
    best = std::max(best, double(passes) * double(part_) * pool.threads() / seconds);
  }
  return best;
}

}  // namespace chiasm::bench
