// Products of few rows, where reading the weights is all the work: one warp an output, each lane
// eight neighbouring inputs, so that a warp reads a stretch of memory in one go.
#include "kernels/cuda/functions.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/weights.h"

namespace chiasm::device {

namespace {

constexpr int kWarps = 4;

template <Format format, int row_count>
__global__ void __launch_bounds__(kWarps* dev::kWarp) gemv(LinearCall c) {
  const std::int64_t o = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / dev::kWarp;
  if (o >= c.w.out) return;  // the whole warp
  const int lane = int(threadIdx.x) % dev::kWarp;
  float sum[row_count] = {};
  for (std::int64_t i = lane * 8; i < c.w.in; i += 8 * dev::kWarp) {
    float w[8];
    read8<format>(c.w, o, i, w);
    const std::int64_t count = c.w.in - i;
    if (count >= 8) {
#pragma unroll
      for (int r = 0; r < row_count; r++) {
        const float* x = c.x + r * c.x_stride + i;
#pragma unroll
        for (int j = 0; j < 8; j++) sum[r] += w[j] * x[j];
      }
    } else {  // beyond the inputs lies padding
      for (int j = 0; j < int(count); j++) {
        for (int r = 0; r < row_count; r++) sum[r] += w[j] * c.x[r * c.x_stride + i + j];
      }
    }
  }
  for (int r = 0; r < row_count; r++) {
    const float total = dev::warp_sum(sum[r]) + (c.bias != nullptr ? c.bias[o] : 0.0f);
    if (lane != 0) continue;
    float* y = c.y + r * c.y_stride + o;
    const float value = apply(c.function, total);
    *y = c.accumulate ? *y + value : value;
  }
}

template <Format format>
void launch_rows(Session& session, const LinearCall& call) {
  const dev::Grid grid(unsigned((call.w.out + kWarps - 1) / kWarps));
  const int threads = kWarps * dev::kWarp;
  LinearCall part = call;
  std::int64_t left = call.rows;
  const auto run = [&](auto kernel, std::int64_t count) {
    for (; left >= count; left -= count) {
      dev::launch(session, kernel, grid, threads, 0, part);
      part.x += count * call.x_stride;
      part.y += count * call.y_stride;
    }
  };
  // A row's sum is the same in each of them.
  run(gemv<format, 8>, 8);
  run(gemv<format, 4>, 4);
  run(gemv<format, 2>, 2);
  run(gemv<format, 1>, 1);
}

}  // namespace

void multiply_few_rows(Session& session, const LinearCall& call) {
  if (call.rows == 0 || call.w.out == 0) return;
  with_format(call.w.format, [&]<Format format>() { launch_rows<format>(session, call); });
}

}  // namespace chiasm::device
