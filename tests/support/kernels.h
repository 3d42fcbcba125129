#pragma once
/// What tests of kernels share: the paths of this machine, pools, random numbers, views.
#include <cstdint>
#include <random>
#include <vector>

#include "core/context.h"

namespace chiasm::testing {

/// A pool of 1, 2 or 3 threads, made once.
inline ThreadPool& pool_of(int threads) {
  static ThreadPool pools[] = {ThreadPool(1), ThreadPool(2), ThreadPool(3)};
  return pools[threads - 1];
}

inline Context context(Isa isa, int threads = 2) {
  Context ctx;
  ctx.pool = &pool_of(threads);
  ctx.isa = isa;
  return ctx;
}

/// Normally distributed values; a seed gives the same ones on every run.
inline std::vector<float> random_floats(std::int64_t count, unsigned seed, float mean = 0,
                                        float deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

inline TensorView<float> view(std::vector<float>& v, Shape shape, std::string_view name = "y") {
  return TensorView<float>(v.data(), shape, name);
}
inline TensorView<const float> view(const std::vector<float>& v, Shape shape,
                                    std::string_view name = "x") {
  return TensorView<const float>(v.data(), shape, name);
}

}  // namespace chiasm::testing
