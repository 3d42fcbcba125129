#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/cpu_quota.h"
#include "core/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace chiasm {
namespace {

using testing::throws;

TEST(ThreadPool, VisitsEveryIndexOnceInPiecesOfTheGrain) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::int64_t count : {0, 1, 2, 7, 64, 1000}) {
      for (const std::int64_t grain : {-1, 0, 1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> visits(std::size_t(count) + 1);
        const std::int64_t step = grain < 1 ? 1 : grain;
        std::atomic<int> bad = 0;
        pool.parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
          if (begin % step != 0 || end - begin > step || begin >= end) bad++;
          for (std::int64_t i = begin; i < end; i++) visits[std::size_t(i)]++;
        });
        EXPECT_EQ(bad, 0);
        for (std::int64_t i = 0; i < count; i++) ASSERT_EQ(visits[std::size_t(i)], 1);
        EXPECT_EQ(visits[std::size_t(count)], 0);
      }
    }
  }
}

TEST(ThreadPool, SharesLongWork) {
  ThreadPool pool(3);
  std::mutex lock;
  std::set<std::thread::id> seen;
  pool.parallel_for(6, 1, [&](std::int64_t, std::int64_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::lock_guard hold(lock);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(seen.size(), 3u);
}

// Many short jobs one after the other: what a decoder does. A lost wake-up would hang here, a late
// worker that touched the next job would miscount.
TEST(ThreadPool, SurvivesManyShortJobs) {
  ThreadPool pool(4);
  for (int job = 0; job < 3000; job++) {
    std::atomic<std::int64_t> sum = 0;
    const std::int64_t count = 1 + job % 7;
    pool.parallel_for(count, 1, [&](std::int64_t begin, std::int64_t) { sum += begin + job; });
    ASSERT_EQ(sum, count * (count - 1) / 2 + count * job);
    if (job % 500 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // let them sleep
  }
}

TEST(ThreadPool, NestedCallsRunInline) {
  ThreadPool pool(3);
  std::atomic<int> inner = 0, strangers = 0;
  pool.parallel_for(4, 1, [&](std::int64_t, std::int64_t) {
    const auto self = std::this_thread::get_id();
    pool.parallel_for(10, 3, [&](std::int64_t begin, std::int64_t end) {
      inner += int(end - begin);
      if (std::this_thread::get_id() != self) strangers++;
    });
  });
  EXPECT_EQ(inner, 40);
  EXPECT_EQ(strangers, 0);
}

TEST(ThreadPool, ConcurrentCallersTakeTurns) {
  ThreadPool pool(3);
  std::atomic<std::int64_t> total = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; c++) {
    callers.emplace_back([&] {
      for (int job = 0; job < 200; job++) {
        std::atomic<std::int64_t> mine = 0;
        pool.parallel_for(11, 2, [&](std::int64_t b, std::int64_t e) { mine += e - b; });
        total += mine;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total, 4 * 200 * 11);
}

TEST(ThreadPool, RethrowsTheErrorAndStaysUsable) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 20; round++) {
      EXPECT_TRUE(throws<MediaError>(
          [&] {
            pool.parallel_for(50, 1, [&](std::int64_t begin, std::int64_t) {
              if (begin == 13) fail<MediaError>("piece 13 is damaged");
            });
          },
          {"piece 13"}));
      std::atomic<int> after = 0;
      pool.parallel_for(50, 1, [&](std::int64_t, std::int64_t) { after++; });
      EXPECT_EQ(after, 50);
    }
    // A nested call inside a job that threw must still see itself as nested on later jobs.
    std::atomic<int> inner = 0;
    pool.parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
      pool.parallel_for(5, 1, [&](std::int64_t, std::int64_t) { inner++; });
    });
    EXPECT_EQ(inner, 10);
  }
}

TEST(ThreadPool, IdleWorkersBurnNoTime) {
  ThreadPool pool(3);
  pool.parallel_for(8, 1, [](std::int64_t, std::int64_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t before = std::clock();  // processor time of the whole process
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double busy = double(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(busy, 0.05);
}

TEST(AvailableCpus, IsAtLeastOneAndAtMostTheMachine) {
  EXPECT_GE(available_cpus(), 1);
  EXPECT_LE(available_cpus(), int(std::thread::hardware_concurrency()));
}

TEST(CpuQuota, ParsesVersion2) {
  EXPECT_EQ(parse_cpu_max("200000 100000\n"), 2.0);
  EXPECT_EQ(parse_cpu_max("50000 100000"), 0.5);
  for (const auto* text : {"max 100000\n", "", "abc", "100000", "1 0", "-1 100000", "0 100000",
                           "1e5 100000", "99999999999999999999 1", "1 2 3"}) {
    EXPECT_FALSE(parse_cpu_max(text).has_value()) << text;
  }
}

TEST(CpuQuota, ParsesVersion1) {
  EXPECT_EQ(parse_cfs_quota("150000\n", "100000\n"), 1.5);
  EXPECT_FALSE(parse_cfs_quota("-1\n", "100000\n").has_value());
  EXPECT_FALSE(parse_cfs_quota("", "").has_value());
}

TEST(CpuQuota, RoundsUpAndStaysWithinTheAffinity) {
  EXPECT_EQ(usable_cpus(8, std::nullopt), 8);
  EXPECT_EQ(usable_cpus(8, 2.0), 2);
  EXPECT_EQ(usable_cpus(8, 1.2), 2);
  EXPECT_EQ(usable_cpus(8, 0.1), 1);
  EXPECT_EQ(usable_cpus(2, 64.0), 2);
  EXPECT_EQ(usable_cpus(0, std::nullopt), 1);
}

TEST(CpuQuota, TakesTheTightestOnTheWayToTheRoot) {
  const testing::TempFolder folder;
  const auto group = folder.path() / "pod" / "box";
  std::filesystem::create_directories(group);
  std::filesystem::create_directories(folder.path() / "cpu,cpuacct" / "job");
  folder.write("pod/cpu.max", "300000 100000\n");
  folder.write("pod/box/cpu.max", "max 100000\n");
  folder.write("cpu,cpuacct/job/cpu.cfs_quota_us", "150000\n");
  folder.write("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_limit("0::/pod/box\n", folder.path()), 3.0);
  EXPECT_EQ(cgroup_cpu_limit("4:memory:/x\n3:cpu,cpuacct:/job\n0::/pod/box", folder.path()), 1.5);
  EXPECT_FALSE(cgroup_cpu_limit("", folder.path()).has_value());
  EXPECT_FALSE(cgroup_cpu_limit("nonsense\n0:\n0::/../../elsewhere\n", folder.path()).has_value());
  // A container that sees its host's path but only its own group's files, at the mount's root.
  folder.write("cpu.max", "100000 100000\n");
  EXPECT_EQ(cgroup_cpu_limit("0::/unknown/path\n", folder.path()), 1.0);
}

}  // namespace
}  // namespace chiasm
