// Layer norm and RMS norm: one block a vector, which it reads from memory once and then from cache.
#include "kernels/cuda/norm_vector.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

__global__ void norm_vectors(NormCall c) {
  __shared__ float sums[kNormWarps];
  const std::int64_t row = blockIdx.x, head = blockIdx.y;
  float* const y = c.y + row * c.y_stride + head * c.dim;
  norm_vector(c.x + row * c.x_stride + head * c.dim, c.dim, {c.weight, c.bias, c.eps, c.centred},
              sums, [&](std::int64_t i, float v) { y[i] = v; });
}

/// y [rows, padded] bfloat16, zeros behind a row.
__global__ void norm_narrow(const float* x, std::int64_t stride, std::int64_t dim, NormRef norm,
                            std::uint16_t* y, std::int64_t padded) {
  __shared__ float sums[kNormWarps];
  const std::int64_t row = blockIdx.x;
  std::uint16_t* const to = y + row * padded;
  norm_vector(x + row * stride, dim, norm, sums,
              [&](std::int64_t i, float v) { to[i] = dev::to_bf16(v); });
  for (std::int64_t i = dim + threadIdx.x; i < padded; i += blockDim.x) to[i] = 0;
}

}  // namespace

void norm(Session& session, const NormCall& call) {
  if (call.rows == 0 || call.heads == 0) return;
  dev::launch(session, norm_vectors, dev::Grid(unsigned(call.rows), unsigned(call.heads)),
              norm_threads(call.dim), 0, call);
}

void norm_narrowed(Session& session, const LinearCall& call, std::uint16_t* y) {
  dev::launch(session, norm_narrow, dev::Grid(unsigned(call.rows)), norm_threads(call.w.in), 0,
              call.x, call.x_stride, call.w.in, call.norm, y, call.w.padded);
}

}  // namespace chiasm::device
