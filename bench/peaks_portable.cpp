#include <cstring>

#include "bench/peaks.h"

namespace chiasm::bench {

double peak_fp32_portable(std::int64_t rounds) {
  constexpr int kLanes = 48;
  float sum[kLanes] = {};
  volatile float seed = 0.999f;
  const float a = seed;
  for (std::int64_t i = 0; i < rounds; i++) {
    for (float& s : sum) s = s * a + a;
  }
  float total = 0;
  for (const float s : sum) total += s;
  seed = total;
  return double(rounds) * kLanes * 2;
}

std::uint64_t read_portable(const std::byte* data, std::size_t bytes) {
  std::uint64_t sum[8] = {};
  for (std::size_t i = 0; i + 64 <= bytes; i += 64) {
    std::uint64_t line[8];
    std::memcpy(line, data + i, sizeof line);
    for (int j = 0; j < 8; j++) sum[j] ^= line[j];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t s : sum) total ^= s;
  return total;
}

}  // namespace chiasm::bench
