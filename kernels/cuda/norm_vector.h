#pragma once
/// Layer norm and RMS norm of one vector by one block, in an order of sums that depends on its
/// length alone: the same numbers wherever it is called.
#include "core/device_calls.h"
#include "kernels/cuda/dev.h"

namespace chiasm::device {

inline constexpr int kNormWarps = 8;

/// Threads that norm a vector of `dim` numbers; a block may have more.
__host__ __device__ constexpr int norm_threads(std::int64_t dim) {
  const std::int64_t warps = (dim + dev::kWarp - 1) / dev::kWarp;
  return int(warps < kNormWarps ? warps : kNormWarps) * dev::kWarp;
}

/// The sum over the first `threads` of the block, in every thread. shared: [kNormWarps].
__device__ inline float block_sum(float v, int threads, float* shared) {
  const int warps = threads / dev::kWarp, warp = int(threadIdx.x) / dev::kWarp;
  v = dev::warp_sum(v);
  if (int(blockDim.x) == dev::kWarp) return v;
  dev::sync_block();  // what was in `shared` has been read
  if (warp < warps && threadIdx.x % dev::kWarp == 0) shared[warp] = v;
  dev::sync_block();
  float sum = 0;
  for (int w = 0; w < warps; w++) sum += shared[w];
  return sum;
}

/// write(i, value) for every number of the normed vector, from the thread that has it. All threads
/// of the block take part.
template <class Write>
__device__ void norm_vector(const float* x, std::int64_t dim, const NormRef& norm, float* shared,
                            const Write& write) {
  const int threads = norm_threads(dim);
  const std::int64_t first = int(threadIdx.x) < threads ? std::int64_t(threadIdx.x) : dim;
  float mean = 0;
  if (norm.centred) {
    float sum = 0;
    for (std::int64_t i = first; i < dim; i += threads) sum += x[i];
    mean = block_sum(sum, threads, shared) / float(dim);
  }
  float squares = 0;
  for (std::int64_t i = first; i < dim; i += threads) {
    const float d = x[i] - mean;
    squares += d * d;
  }
  const float scale = 1.0f / sqrtf(block_sum(squares, threads, shared) / float(dim) + norm.eps);
  for (std::int64_t i = first; i < dim; i += threads) {
    const float normed = (x[i] - mean) * scale * norm.weight[i];
    write(i, norm.bias != nullptr ? normed + norm.bias[i] : normed);
  }
}

}  // namespace chiasm::device
