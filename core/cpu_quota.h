#pragma once
/// How many CPUs a container may use. Reading and parsing are apart, so that both can be tested.
#include <filesystem>
#include <optional>
#include <string_view>

namespace chiasm {

/// CPUs allowed by the text of cgroup v2's `cpu.max` ("200000 100000", "max 100000"); nothing when
/// unlimited or not understood.
std::optional<double> parse_cpu_max(std::string_view text);

/// CPUs allowed by cgroup v1's `cpu.cfs_quota_us` (-1: unlimited) and `cpu.cfs_period_us`.
std::optional<double> parse_cfs_quota(std::string_view quota, std::string_view period);

/// The tightest limit on the way from this process's group to the root, cgroup v1 and v2.
/// `proc_self_cgroup` is the text of /proc/self/cgroup, `mount` is where cgroups are mounted
/// (/sys/fs/cgroup). Files that are missing or odd count as no limit.
std::optional<double> cgroup_cpu_limit(std::string_view proc_self_cgroup,
                                       const std::filesystem::path& mount);

/// Whole CPUs out of an affinity count and a quota: rounded up, at least 1.
int usable_cpus(int affinity, std::optional<double> quota);

}  // namespace chiasm
