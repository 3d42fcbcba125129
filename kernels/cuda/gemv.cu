// Products of few rows, where reading the weights is all the work: a warp an output, or two that
// belong together, each lane eight neighbouring inputs, so that a warp reads a stretch of memory in
// one go. What stands before the product (a norm) and behind it (a gate, rotary embedding and the
// way into the cache) is done by the same launch: small models spend their time between kernels.
#include "kernels/cuda/few_rows.h"
#include "kernels/cuda/functions.h"
#include "kernels/cuda/norm_vector.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/weights.h"

namespace chiasm::device {

namespace {

constexpr int kWarps = 8, kThreads = kWarps * dev::kWarp;
constexpr std::int64_t kSharedBytes = 96 * 1024;  // what every card since Ampere has
constexpr int kBlocks = 256;  // about what fills the card; more outputs a block beyond it

/// A product cut into jobs, one of a warp.
struct Work {
  LinearCall call;
  TurnCall turn;
  std::int64_t jobs, per_block;
  int rows;      // of the call, up to what the kernel is made for
  bool vectors;  // whether four numbers of x can be read at once
};

/// sums[r] += row r of x times eight weights.
template <int row_count>
__device__ void multiply_add(const Work& work, const float* x, std::int64_t stride, std::int64_t i,
                             const float (&w)[8], float (&sum)[row_count]) {
  const std::int64_t count = work.call.w.in - i;
#pragma unroll
  for (int r = 0; r < row_count; r++) {
    const float* at = x + (r < work.rows ? r : 0) * stride + i;
    float v[8];
    if (work.vectors && count >= 8) {
      const auto* p = reinterpret_cast<const float4*>(at);
      const float4 low = p[0], high = p[1];
      v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
      v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    } else {  // behind the inputs lie weights of zero
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] = j < count ? at[j] : 0.0f;
    }
#pragma unroll
    for (int j = 0; j < 8; j++) sum[r] += w[j] * v[j];
  }
}

__device__ float with_bias(const LinearCall& c, std::int64_t o, float sum) {
  return sum + (c.bias != nullptr ? c.bias[o] : 0.0f);
}

/// What becomes of the two sums of a job: a gate and its value, or two numbers of a head.
template <Ending ending>
__device__ void finish(const Work& work, std::int64_t job, std::int64_t row, float a, float b) {
  const LinearCall& c = work.call;
  float* const y = c.y + row * c.y_stride;
  if constexpr (ending == Ending::plain) {
    const float value = apply(c.function, with_bias(c, job, a));
    y[job] = c.accumulate ? y[job] + value : value;
  } else if constexpr (ending == Ending::gated) {
    y[job] = apply(c.function, with_bias(c, job, a)) * with_bias(c, job + work.jobs, b);
  } else {
    const Pair at = pair_of(work.turn, job);
    a = with_bias(c, at.first, a);
    b = with_bias(c, at.second, b);
    keep_pair(work.turn, at, row, a, b);
    y[at.first] = a;
    y[at.second] = b;
  }
}

template <Format format, int row_count, Ending ending>
__global__ void __launch_bounds__(kThreads, 2) few_rows(Work work) {
  __shared__ float sums[kNormWarps];
  const LinearCall& c = work.call;
  const float* x = c.x;
  std::int64_t stride = c.x_stride;
  if (c.norm.weight != nullptr) {
    float* const normed = dev::dynamic_shared<float>();
    stride = (c.w.in + 3) / 4 * 4;
    for (int r = 0; r < work.rows; r++) {
      norm_vector(c.x + r * c.x_stride, c.w.in, c.norm, sums,
                  [&](std::int64_t i, float v) { normed[r * stride + i] = v; });
    }
    dev::sync_block();
    x = normed;
  }
  const int lane = int(threadIdx.x) % dev::kWarp, warp = int(threadIdx.x) / dev::kWarp;
  std::int64_t end = (blockIdx.x + 1) * work.per_block;
  if (end > work.jobs) end = work.jobs;
  for (std::int64_t job = blockIdx.x * work.per_block + warp; job < end; job += kWarps) {
    constexpr bool two = ending != Ending::plain;
    std::int64_t first = job, second = job + work.jobs;
    if constexpr (ending == Ending::turned) {
      const Pair at = pair_of(work.turn, job);
      first = at.first;
      second = at.second;
    }
    float a[row_count] = {}, b[row_count] = {};
#pragma unroll 1  // the registers of a second round would not fit
    for (std::int64_t i = lane * 8; i < c.w.in; i += 8 * dev::kWarp) {
      float w[8];
      read8<format>(c.w, first, i, w);
      multiply_add(work, x, stride, i, w, a);
      if constexpr (two) {
        read8<format>(c.w, second, i, w);
        multiply_add(work, x, stride, i, w, b);
      }
    }
    for (int r = 0; r < row_count; r++) {
      const float of_a = dev::warp_sum(a[r]);
      float of_b = 0;
      if constexpr (two) of_b = dev::warp_sum(b[r]);
      if (lane == 0 && r < work.rows) finish<ending>(work, job, r, of_a, of_b);
    }
  }
}

std::int64_t normed_bytes(const LinearCall& call) {
  return call.rows * ((call.w.in + 3) / 4 * 4) * std::int64_t(sizeof(float));
}

template <Format format, Ending ending>
void launch(Session& session, const Work& work, std::int64_t shared) {
  const dev::Grid grid(unsigned((work.jobs + work.per_block - 1) / work.per_block));
  const auto run = [&](auto kernel) {
    dev::launch(session, kernel, grid, kThreads, std::size_t(shared), work);
  };
  // A row's sums are the same in each of them.
  if (work.rows == 1) return run(few_rows<format, 1, ending>);
  if (work.rows == 2) return run(few_rows<format, 2, ending>);
  if (work.rows <= 4) return run(few_rows<format, 4, ending>);
  run(few_rows<format, 8, ending>);
}

}  // namespace

bool norms_few_rows(const LinearCall& call) { return normed_bytes(call) <= kSharedBytes; }

void multiply_few_rows(Session& session, const LinearCall& call, const TurnCall* turn) {
  if (call.rows == 0 || call.w.out == 0) return;
  Work work{};
  work.call = call;
  work.rows = int(call.rows);
  work.jobs = call.gated || turn != nullptr ? call.w.out / 2 : call.w.out;
  work.per_block = (work.jobs + kBlocks - 1) / kBlocks;
  work.per_block = (work.per_block + kWarps - 1) / kWarps * kWarps;
  const bool normed = call.norm.weight != nullptr;
  work.vectors =
      normed || (reinterpret_cast<std::uintptr_t>(call.x) % 16 == 0 && call.x_stride % 4 == 0);
  if (turn != nullptr) work.turn = *turn;
  const std::int64_t shared = normed ? normed_bytes(call) : 0;
  with_format(call.w.format, [&]<Format format>() {
    if (turn != nullptr) return launch<format, Ending::turned>(session, work, shared);
    if (call.gated) return launch<format, Ending::gated>(session, work, shared);
    launch<format, Ending::plain>(session, work, shared);
  });
}

}  // namespace chiasm::device
