// Layer norm and RMS norm: one block a vector, which it reads from memory once and then from cache.
#include "kernels/cuda/dev.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

constexpr int kMostWarps = 8;

/// The sum over the block, in every thread; in an order that depends on its size alone.
__device__ float block_sum(float v, float* shared) {
  const int warps = int(blockDim.x) / dev::kWarp;
  v = dev::warp_sum(v);
  if (warps == 1) return v;
  dev::sync_block();  // what was in `shared` has been read
  if (threadIdx.x % dev::kWarp == 0) shared[threadIdx.x / dev::kWarp] = v;
  dev::sync_block();
  float sum = 0;
  for (int w = 0; w < warps; w++) sum += shared[w];
  return sum;
}

__global__ void norm_vectors(NormCall c) {
  __shared__ float sums[kMostWarps];
  const std::int64_t row = blockIdx.x, head = blockIdx.y;
  const float* x = c.x + row * c.x_stride + head * c.dim;
  float* y = c.y + row * c.y_stride + head * c.dim;
  const int first = int(threadIdx.x), step = int(blockDim.x);
  float mean = 0;
  if (c.centred) {
    float sum = 0;
    for (std::int64_t i = first; i < c.dim; i += step) sum += x[i];
    mean = block_sum(sum, sums) / float(c.dim);
  }
  float squares = 0;
  for (std::int64_t i = first; i < c.dim; i += step) {
    const float d = x[i] - mean;
    squares += d * d;
  }
  const float scale = 1.0f / sqrtf(block_sum(squares, sums) / float(c.dim) + c.eps);
  for (std::int64_t i = first; i < c.dim; i += step) {
    const float normed = (x[i] - mean) * scale * c.weight[i];
    y[i] = c.bias != nullptr ? normed + c.bias[i] : normed;
  }
}

}  // namespace

void norm(Session& session, const NormCall& call) {
  if (call.rows == 0 || call.heads == 0) return;
  const std::int64_t warps = (call.dim + dev::kWarp - 1) / dev::kWarp;
  const int threads = int(warps < kMostWarps ? warps : kMostWarps) * dev::kWarp;
  dev::launch(session, norm_vectors, dev::Grid(unsigned(call.rows), unsigned(call.heads)), threads,
              0, call);
}

}  // namespace chiasm::device
