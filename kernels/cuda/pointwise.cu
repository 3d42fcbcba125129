// Operators that look at one number, or two, at a time.
#include "kernels/cuda/functions.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 256;

__device__ float result(const PointwiseCall& c, const float* x, float y, std::int64_t i) {
  switch (c.kind) {
    case PointwiseCall::activate:
      return apply(c.function, y);
    case PointwiseCall::gated:
      return apply(c.function, x[i]) * x[c.cols + i];
    case PointwiseCall::add:
      return y + x[i];
    case PointwiseCall::add_scaled:
      return y + c.scale[i] * x[i];
    case PointwiseCall::scale_by:
      return y * c.factor;
    case PointwiseCall::softcap:
      return c.factor * tanhf(y / c.factor);
  }
  return y;
}

__global__ void pointwise_rows(PointwiseCall c) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i >= c.cols) return;
  float* y = c.y + row * c.y_stride + i;
  const float before = c.kind == PointwiseCall::gated ? 0 : *y;  // there y may be unwritten
  *y = result(c, c.x + row * c.x_stride, before, i);
}

__global__ void copy_rows(RowsCall c) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i >= c.cols) return;
  const std::int64_t from = c.from != nullptr ? c.from[row] : row;
  const std::int64_t to = c.to != nullptr ? c.to[row] : row;
  float* y = c.y + to * c.y_stride + i;
  const float value = c.x[from * c.x_stride + i];
  *y = c.add ? *y + value : value;
}

dev::Grid grid_of(std::int64_t rows, std::int64_t cols) {
  return dev::Grid(unsigned(rows), unsigned((cols + kThreads - 1) / kThreads));
}

}  // namespace

void pointwise(Session& session, const PointwiseCall& call) {
  if (call.rows == 0 || call.cols == 0) return;
  dev::launch(session, pointwise_rows, grid_of(call.rows, call.cols), kThreads, 0, call);
}

void rows(Session& session, const RowsCall& call) {
  if (call.rows == 0 || call.cols == 0) return;
  dev::launch(session, copy_rows, grid_of(call.rows, call.cols), kThreads, 0, call);
}

}  // namespace chiasm::device
