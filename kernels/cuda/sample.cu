// From logits to a token without the host: one block a row.
#include "kernels/cuda/dev.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 256, kWarps = kThreads / dev::kWarp;

/// Before every number; also what removed and NaN logits count as.
constexpr float kLowest = -3.402823466e38f;

struct Best {
  float value;
  std::int32_t index;  // -1: none
};

__device__ Best better(Best a, Best b) {
  if (b.index < 0) return a;
  if (a.index < 0 || b.value > a.value || (b.value == a.value && b.index < a.index)) return b;
  return a;
}

/// The largest logit, in every thread.
__device__ Best block_best(Best mine, Best* shared) {
  for (int step = dev::kWarp / 2; step > 0; step /= 2) {
    const Best other{dev::shuffle_xor(mine.value, step), dev::shuffle_xor(mine.index, step)};
    mine = better(mine, other);
  }
  if (threadIdx.x % dev::kWarp == 0) shared[threadIdx.x / dev::kWarp] = mine;
  dev::sync_block();
  Best best = shared[0];
  for (int w = 1; w < kWarps; w++) best = better(best, shared[w]);
  return best;
}

/// Each thread holds the probabilities of a stretch of neighbouring tokens, so that their order is
/// the vocabulary's.
__global__ void __launch_bounds__(kThreads) sample_rows(SampleCall c) {
  __shared__ Best bests[kWarps];
  __shared__ float sums[kThreads];
  const std::int64_t row = blockIdx.x;
  const float* logits = c.logits + row * c.stride;
  const float temperature = c.temperature[row];
  const std::int64_t each = (c.vocab + kThreads - 1) / kThreads;
  const std::int64_t begin = threadIdx.x * each;
  const std::int64_t end = begin + each < c.vocab ? begin + each : c.vocab;
  Best mine{kLowest, -1};
  for (std::int64_t i = begin; i < end; i++) {
    if (logits[i] >= kLowest) mine = better(mine, {logits[i], std::int32_t(i)});  // false for NaN
  }
  const Best best = block_best(mine, bests);
  if (temperature == 0 || best.index < 0) {
    if (threadIdx.x == 0) c.token[row] = best.index;
    return;
  }
  const auto weight = [&](std::int64_t i) {
    return logits[i] >= kLowest ? expf((logits[i] - best.value) / temperature) : 0.0f;
  };
  float sum = 0;
  for (std::int64_t i = begin; i < end; i++) sum += weight(i);
  sums[threadIdx.x] = sum;
  dev::sync_block();
  float before = 0, total = 0;
  for (int t = 0; t < kThreads; t++) {
    if (t == int(threadIdx.x)) before = total;
    total += sums[t];
  }
  const float wanted = c.uniform[row] * total;
  // Stretches meet without gaps, as each begins with the sum at which the one before ended; only
  // rounding inside the last one could leave the number unclaimed, and the last weight takes it.
  const float after = before + sums[threadIdx.x];
  const bool last = after == total && before < total;
  if (!(before <= wanted && (wanted < after || last)) || sum == 0) return;
  std::int32_t token = -1;
  float cumulative = before;
  for (std::int64_t i = begin; i < end; i++) {
    const float w = weight(i);
    if (w == 0) continue;
    token = std::int32_t(i);
    cumulative += w;
    if (cumulative > wanted) break;
  }
  c.token[row] = token;
}

}  // namespace

void sample(Session& session, const SampleCall& call) {
  if (call.rows == 0) return;
  dev::launch(session, sample_rows, dev::Grid(unsigned(call.rows)), kThreads, 0, call);
}

}  // namespace chiasm::device
