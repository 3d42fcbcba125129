#include "core/cpu_quota.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace chiasm {

namespace {

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  const std::string_view rest = text.substr(std::size_t(end - text.data()));
  if (rest.find_first_not_of(" \n") != std::string_view::npos) return std::nullopt;
  return value;
}

std::optional<double> ratio(std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return double(*quota) / double(*period);
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void keep_smaller(std::optional<double>& least, std::optional<double> limit) {
  if (limit && (!least || *limit < *least)) least = limit;
}

// A group and all groups above it, as folders under `root`. A container may see its host's path
// while only its own group is mounted: the folders are then missing and `root` itself counts.
std::vector<std::filesystem::path> folders(const std::filesystem::path& root,
                                           std::string_view group) {
  std::vector<std::filesystem::path> found = {root};
  std::filesystem::path folder = root;
  for (const auto& part : std::filesystem::path(group).relative_path()) {
    if (part == "..") break;  // a group outside this namespace
    found.push_back(folder /= part);
  }
  return found;
}

bool lists_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

}  // namespace

std::optional<double> parse_cpu_max(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  return ratio(parse_integer(text.substr(0, space)), parse_integer(text.substr(space + 1)));
}

std::optional<double> parse_cfs_quota(std::string_view quota, std::string_view period) {
  return ratio(parse_integer(quota), parse_integer(period));
}

std::optional<double> cgroup_cpu_limit(std::string_view proc_self_cgroup,
                                       const std::filesystem::path& mount) {
  std::optional<double> least;
  // Lines read "hierarchy:controllers:group"; v2 has hierarchy 0 and no controllers.
  while (!proc_self_cgroup.empty()) {
    const std::size_t newline = std::min(proc_self_cgroup.find('\n'), proc_self_cgroup.size());
    const std::string_view line = proc_self_cgroup.substr(0, newline);
    proc_self_cgroup.remove_prefix(std::min(newline + 1, proc_self_cgroup.size()));
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view group = line.substr(second + 1);
    if (controllers.empty()) {
      for (const auto& root : {mount, mount / "unified"}) {
        for (const auto& folder : folders(root, group)) {
          keep_smaller(least, parse_cpu_max(text_of(folder / "cpu.max")));
        }
      }
    } else if (lists_cpu(controllers)) {
      for (const auto& root : {mount / controllers, mount / "cpu"}) {
        for (const auto& folder : folders(root, group)) {
          keep_smaller(least, parse_cfs_quota(text_of(folder / "cpu.cfs_quota_us"),
                                              text_of(folder / "cpu.cfs_period_us")));
        }
      }
    }
  }
  return least;
}

int usable_cpus(int affinity, std::optional<double> quota) {
  const int cpus = std::max(affinity, 1);
  if (!quota) return cpus;
  return int(std::clamp(std::ceil(*quota), 1.0, double(cpus)));
}

}  // namespace chiasm
