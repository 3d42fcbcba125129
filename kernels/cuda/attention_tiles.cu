// Attention on tensor cores: one block 64 rows of one head, 16 rows a warp; keys pass through
// shared memory in blocks, the next one on its way while one is multiplied. A tile visits the keys
// between the first and the last that any of its rows sees: full, causal, window, prefix and image
// spans are all that. Dao, 2023, arXiv:2307.08691 (FlashAttention-2).
#include "kernels/cuda/attention_scores.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

constexpr int kWarps = kTileRows / 16, kThreads = kWarps * dev::kWarp;
constexpr std::int32_t kFar = 0x7fffffff;

/// Bounds of what the rows of a tile see.
struct Reach {
  std::int32_t least_first, most_first, least_last, most_last;
};

__device__ std::int32_t warp_most(std::int32_t v) {
  for (int step = dev::kWarp / 2; step > 0; step /= 2) {
    const std::int32_t other = dev::shuffle_xor(v, step);
    v = other > v ? other : v;
  }
  return v;
}

/// Each warp looks at all rows; those behind the sequence's end count for nothing.
__device__ Reach reach_of(const AttentionCall& c, std::int64_t row, std::int32_t count) {
  std::int32_t least_first = kFar, most_first = 0, least_last = kFar, most_last = 0;
  for (int i = int(threadIdx.x) % dev::kWarp; i < kTileRows && i < count; i += dev::kWarp) {
    const std::int32_t first = c.first_key[row + i], last = c.last_key[row + i];
    least_first = first < least_first ? first : least_first;
    most_first = first > most_first ? first : most_first;
    least_last = last < least_last ? last : least_last;
    most_last = last > most_last ? last : most_last;
  }
  return {-warp_most(-least_first), warp_most(most_first), -warp_most(-least_last),
          warp_most(most_last)};
}

template <int D, int N>  // padded head size, keys of a block
__global__ void __launch_bounds__(kThreads) attend_tiles(AttentionCall c) {
  constexpr int kRow = D + 8;  // 16 bytes more: rows of a matrix lie in different banks
  constexpr int kChunks = D / 8;
  auto* const q_tile = dev::dynamic_shared<std::uint16_t>();
  std::uint16_t* const k_tiles = q_tile + kTileRows * kRow;
  std::uint16_t* const v_tiles = k_tiles + 2 * N * kRow;
  const int thread = int(threadIdx.x), lane = thread % dev::kWarp, warp = thread / dev::kWarp;
  const Sequence s = c.sequences[c.tiles[2 * blockIdx.x]];
  const std::int32_t m0 = c.tiles[2 * blockIdx.x + 1], count = s.q_count - m0;
  const std::int64_t row0 = std::int64_t(s.q_begin) + m0, head = blockIdx.y;
  const std::int64_t kv_head = head / (c.heads / c.kv_heads);
  const Reach reach = reach_of(c, row0, count);
  const int begin = reach.least_first / N;
  const int end = reach.least_first < reach.most_last ? (reach.most_last + N - 1) / N : begin;

  for (int i = thread; i < kTileRows * D; i += kThreads) {
    const int r = i / D, d = i % D;
    const bool real = r < count && d < c.head_dim;
    const float* from = c.q + (row0 + r) * c.q_stride + head * c.head_dim + d;
    q_tile[r * kRow + d] = real ? dev::to_bf16(*from) : 0;
  }
  const auto load = [&](std::uint16_t* to, const void* base, std::int64_t stride, int block) {
#pragma unroll 1  // unrolled, its addresses would take the sums' registers
    for (int i = thread; i < N * kChunks; i += kThreads) {
      const int r = i / kChunks, d = i % kChunks * 8, key = block * N + r;
      const bool real = key < s.key_count && d < c.head_dim;
      const std::uint16_t* from =
          key_address<std::uint16_t>(c, base, stride, s, kv_head, real ? key : 0) + (real ? d : 0);
      dev::copy_async16(to + r * kRow + d, from, real);
    }
  };
  const auto load_block = [&](int block) {
    if (block < end) {
      load(k_tiles + block % 2 * N * kRow, c.k, c.k_stride, block);
      load(v_tiles + block % 2 * N * kRow, c.v, c.v_stride, block);
    }
    dev::commit_copies();
  };
  load_block(begin);
  dev::sync_block();  // q is there

  // This lane's rows: group and group + 8 of the warp's 16; its columns: pairs 2 pair, +1 of 8.
  const int group = lane / 4, pair = lane % 4;
  std::int32_t first[2], last[2];
  for (int half = 0; half < 2; half++) {
    const int r = warp * 16 + group + 8 * half;
    first[half] = r < count ? c.first_key[row0 + r] : 0;
    last[half] = r < count ? c.last_key[row0 + r] : 0;
  }
  // Wide heads read q again for each block of keys: registers are for the sums.
  constexpr bool kKeepsQ = D <= 128;
  std::uint32_t q[kKeepsQ ? D / 16 : 1][4];
  const auto load_q = [&](int d) {
    dev::load_matrix4<false>(q[kKeepsQ ? d : 0],
                             q_tile + (warp * 16 + lane % 16) * kRow + d * 16 + lane / 16 * 8);
  };
#pragma unroll
  for (int d = 0; d < D / 16 && kKeepsQ; d++) load_q(d);
  float out[D / 8][4] = {}, most[2] = {kNoKey, kNoKey}, weight[2] = {0, 0};
  for (int block = begin; block < end; block++) {
    const std::uint16_t* k = k_tiles + block % 2 * N * kRow;
    const std::uint16_t* v = v_tiles + block % 2 * N * kRow;
    load_block(block + 1);
    dev::wait_copies<1>();
    dev::sync_block();
    float score[N / 8][4] = {};
#pragma unroll
    for (int d = 0; d < D / 16; d++) {
      if (!kKeepsQ) load_q(d);
      const auto& a = q[kKeepsQ ? d : 0];
#pragma unroll
      for (int n = 0; n < N / 16; n++) {
        std::uint32_t b[4];
        dev::load_matrix4<false>(
            b, k + (n * 16 + lane % 8 + lane / 16 * 8) * kRow + d * 16 + lane / 8 % 2 * 8);
        dev::multiply_bf16(score[2 * n], a, b[0], b[1]);
        dev::multiply_bf16(score[2 * n + 1], a, b[2], b[3]);
      }
    }
    const int key0 = block * N;
    const bool all = key0 >= reach.most_first && key0 + N <= reach.least_last;
    if (c.softcap > 0) {
#pragma unroll
      for (int i = 0; i < N / 2; i++) {
        score[i / 4][i % 4] = capped_in_log2(c, score[i / 4][i % 4]);
      }
    } else {
#pragma unroll
      for (int i = 0; i < N / 2; i++) score[i / 4][i % 4] *= kLog2E * c.scale;
    }
    if (!all) {
#pragma unroll
      for (int i = 0; i < N / 2; i++) {
        const int key = key0 + i / 4 * 8 + pair * 2 + i % 2, half = i % 4 / 2;
        if (key < first[half] || key >= last[half]) score[i / 4][i % 4] = kNoKey;
      }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float top = most[half];
#pragma unroll
      for (int n = 0; n < N / 8; n++) {
        top = fmaxf(top, fmaxf(score[n][2 * half], score[n][2 * half + 1]));
      }
      top = fmaxf(top, dev::shuffle_xor(top, 1));
      top = fmaxf(top, dev::shuffle_xor(top, 2));
      const float base = top == kNoKey ? 0.0f : top;  // of no key, all weights are 0
      const float factor = dev::exp2(most[half] - base);
      most[half] = top;
      float sum = 0;
#pragma unroll
      for (int n = 0; n < N / 8; n++) {
        for (int i = 2 * half; i < 2 * half + 2; i++) {
          score[n][i] = dev::exp2(score[n][i] - base);
          sum += score[n][i];
        }
      }
      weight[half] = weight[half] * factor + sum;
#pragma unroll
      for (int d = 0; d < D / 8; d++) {
        out[d][2 * half] *= factor;
        out[d][2 * half + 1] *= factor;
      }
    }
#pragma unroll
    for (int n = 0; n < N / 16; n++) {
      const std::uint32_t a[4] = {dev::pack_bf16(score[2 * n][0], score[2 * n][1]),
                                  dev::pack_bf16(score[2 * n][2], score[2 * n][3]),
                                  dev::pack_bf16(score[2 * n + 1][0], score[2 * n + 1][1]),
                                  dev::pack_bf16(score[2 * n + 1][2], score[2 * n + 1][3])};
#pragma unroll
      for (int d = 0; d < D / 16; d++) {
        std::uint32_t b[4];
        dev::load_matrix4<true>(b, v + (n * 16 + lane % 16) * kRow + d * 16 + lane / 16 * 8);
        dev::multiply_bf16(out[2 * d], a, b[0], b[1]);
        dev::multiply_bf16(out[2 * d + 1], a, b[2], b[3]);
      }
    }
    dev::sync_block();  // the block's memory is free
  }
  dev::wait_copies<0>();
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float total = weight[half];
    total += dev::shuffle_xor(total, 1);
    total += dev::shuffle_xor(total, 2);
    const float divisor = total > 0 ? 1.0f / total : 0.0f;
    const int r = warp * 16 + group + 8 * half;
    float* to = c.out + (row0 + r) * c.out_stride + head * c.head_dim + pair * 2;
#pragma unroll
    for (int d = 0; d < D / 8; d++) {
      if (r >= count || d * 8 >= c.head_dim) continue;
      to[d * 8] = out[d][2 * half] * divisor;
      to[d * 8 + 1] = out[d][2 * half + 1] * divisor;
    }
  }
}

__global__ void narrow(const float* x, std::int64_t stride, std::int64_t cols, std::uint16_t* y) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i < cols) y[row * cols + i] = dev::to_bf16(x[row * stride + i]);
}

template <int D, int N>
void run(Session& session, const AttentionCall& call) {
  const std::size_t shared = std::size_t(kTileRows + 4 * N) * (D + 8) * sizeof(std::uint16_t);
  dev::launch(session, attend_tiles<D, N>,
              dev::Grid(unsigned(call.tile_count), unsigned(call.heads)), kThreads, shared, call);
}

/// Contiguous keys and values as bfloat16 rows without gaps.
AttentionCall narrowed(Session& session, const AttentionCall& call) {
  const std::int64_t cols = call.kv_heads * call.head_dim, all = call.key_rows * cols;
  auto* const k = static_cast<std::uint16_t*>(session.scratch(std::uint64_t(all) * 4));
  std::uint16_t* const v = k + all;
  narrow_rows(session, static_cast<const float*>(call.k), call.k_stride, call.key_rows, cols, k);
  narrow_rows(session, static_cast<const float*>(call.v), call.v_stride, call.key_rows, cols, v);
  AttentionCall out = call;
  out.k = k;
  out.v = v;
  out.k_stride = out.v_stride = cols;
  return out;
}

}  // namespace

void narrow_rows(Session& session, const float* x, std::int64_t stride, std::int64_t rows,
                 std::int64_t cols, std::uint16_t* y) {
  const dev::Grid grid(unsigned(rows), unsigned((cols + kThreads - 1) / kThreads));
  dev::launch(session, narrow, grid, kThreads, 0, x, stride, cols, y);
}

void attention_tiles(Session& session, const AttentionCall& asked) {
  const AttentionCall call = asked.paged || asked.key_rows == 0 ? asked : narrowed(session, asked);
  if (call.head_dim <= 64) return run<64, 64>(session, call);
  if (call.head_dim <= 80) return run<80, 64>(session, call);
  if (call.head_dim <= 96) return run<96, 64>(session, call);
  if (call.head_dim <= 128) return run<128, 64>(session, call);
  run<256, 32>(session, call);
}

}  // namespace chiasm::device
