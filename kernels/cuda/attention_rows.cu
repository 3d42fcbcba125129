// Attention in float32, for decoding and for float32 models: one block a row, a KV head, up to
// `pack` of the query heads that share it, and a part of the keys. Eight lanes share a key, so a
// warp reads four keys at a time; parts are joined by the block that is done last (Dao et al.,
// 2023, Flash-Decoding).
#include "kernels/cuda/attention_scores.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

constexpr int kWarps = 4, kLanes = 8, kKeysPerWarp = dev::kWarp / kLanes;
constexpr std::int64_t kScratchBytes = std::int64_t(64) << 20;

/// How a call is cut, and partial sums: [rows of a slice][heads][parts][head_dim + 2], the last two
/// the maximum and the sum of the weights. `arrived` counts the blocks of a row and its packed
/// heads that are done, [rows of a slice][blocks across]: the last one joins the parts.
struct Parts {
  float* data;
  unsigned* arrived;
  std::int64_t first_row, count;
  bool vectors;  // whether every four numbers can be read at once
};

__device__ float* partial_of(const AttentionCall& c, const Parts& parts, std::int64_t row,
                             std::int64_t head, std::int64_t part) {
  const std::int64_t at = ((row - parts.first_row) * c.heads + head) * parts.count + part;
  return parts.data + at * (c.head_dim + 2);
}

__device__ float widen(float v) { return v; }
__device__ float widen(std::uint16_t v) { return dev::from_bf16(v); }

__device__ float4 read_vector(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ float4 read_vector(const std::uint16_t* p) {
  const auto v = *reinterpret_cast<const uint2*>(p);
  float4 out;
  out.x = dev::from_bf16(std::uint16_t(v.x));
  out.y = dev::from_bf16(std::uint16_t(v.x >> 16));
  out.z = dev::from_bf16(std::uint16_t(v.y));
  out.w = dev::from_bf16(std::uint16_t(v.y >> 16));
  return out;
}

/// Numbers d to d + 3 of a head, zeros behind its end.
template <class Number>
__device__ float4 read4(const Number* head, std::int64_t d, std::int64_t dims, bool vectors) {
  float4 out{0, 0, 0, 0};
  if (d >= dims) return out;
  if (vectors) return read_vector(head + d);
  out.x = widen(head[d]);
  if (d + 1 < dims) out.y = widen(head[d + 1]);
  if (d + 2 < dims) out.z = widen(head[d + 2]);
  if (d + 3 < dims) out.w = widen(head[d + 3]);
  return out;
}

/// What a group of eight lanes knows of its keys, for each packed head: numbers 4 (8 c + member) of
/// chunk c belong to a lane.
template <int chunks, int pack>
struct Sums {
  float most[pack], weight[pack];
  float4 value[pack][chunks];
};

template <int chunks, int pack>
__device__ void rescale(Sums<chunks, pack>& s, int p, float most) {
  const float factor = s.most[p] == kNoKey ? 0.0f : dev::exp2(s.most[p] - most);
  s.most[p] = most;
  s.weight[p] *= factor;
#pragma unroll
  for (int c = 0; c < chunks; c++) {
    float4& v = s.value[p][c];
    v.x *= factor, v.y *= factor, v.z *= factor, v.w *= factor;
  }
}

/// Joins the four groups of a warp.
template <int chunks, int pack>
__device__ void join_groups(Sums<chunks, pack>& s) {
#pragma unroll
  for (int step = kLanes; step < dev::kWarp; step *= 2) {
#pragma unroll
    for (int p = 0; p < pack; p++) {
      rescale(s, p, fmaxf(s.most[p], dev::shuffle_xor(s.most[p], step)));
      s.weight[p] += dev::shuffle_xor(s.weight[p], step);
#pragma unroll
      for (int c = 0; c < chunks; c++) {
        float4& v = s.value[p][c];
        v.x += dev::shuffle_xor(v.x, step);
        v.y += dev::shuffle_xor(v.y, step);
        v.z += dev::shuffle_xor(v.z, step);
        v.w += dev::shuffle_xor(v.w, step);
      }
    }
  }
}

/// What a warp leaves in shared memory: [warp][pack][dims + 2].
template <int chunks, int pack>
__device__ void leave(const Sums<chunks, pack>& s, float* shared) {
  constexpr int kDims = chunks * kLanes * 4;
  const int lane = int(threadIdx.x) % dev::kWarp, warp = int(threadIdx.x) / dev::kWarp;
  if (lane >= kLanes) return;
  for (int p = 0; p < pack; p++) {
    float* to = shared + (warp * pack + p) * (kDims + 2);
    for (int c = 0; c < chunks; c++) {
      const float4 v = s.value[p][c];
      float* at = to + (c * kLanes + lane) * 4;
      at[0] = v.x, at[1] = v.y, at[2] = v.z, at[3] = v.w;
    }
    if (lane == 0) to[kDims] = s.most[p], to[kDims + 1] = s.weight[p];
  }
}

/// Joins the warps and writes head `h`'s row, or its part.
template <int chunks, int pack>
__device__ void write_head(const AttentionCall& c, const Parts& parts, const float* shared,
                           std::int64_t row, std::int64_t h, int p, std::int64_t part) {
  constexpr int kDims = chunks * kLanes * 4;
  const auto of_warp = [&](int w) { return shared + (w * pack + p) * (kDims + 2); };
  float most = kNoKey, weight = 0;
  for (int w = 0; w < kWarps; w++) most = fmaxf(most, of_warp(w)[kDims]);
  float factor[kWarps];
  for (int w = 0; w < kWarps; w++) {
    const float own = of_warp(w)[kDims];
    factor[w] = own == kNoKey ? 0.0f : dev::exp2(own - most);
    weight += factor[w] * of_warp(w)[kDims + 1];
  }
  const bool whole = parts.count == 1;
  float* to =
      whole ? c.out + row * c.out_stride + h * c.head_dim : partial_of(c, parts, row, h, part);
  for (std::int64_t d = threadIdx.x; d < c.head_dim; d += blockDim.x) {
    float sum = 0;
    for (int w = 0; w < kWarps; w++) sum += factor[w] * of_warp(w)[d];
    // As where a single part is joined: a row's bits do not tell whether others have more keys.
    to[d] = !whole ? sum : weight > 0 ? sum / weight : 0.0f;
  }
  if (!whole && threadIdx.x == 0) to[c.head_dim] = most, to[c.head_dim + 1] = weight;
}

/// What a block works on: a row, the packed heads of a KV head, a part of the keys.
struct Piece {
  std::int64_t row, part, kv_head, first_head;
  int used;  // of the packed heads
};

template <int pack>
__device__ Piece piece_of_block(const AttentionCall& c, const Parts& parts) {
  const std::int64_t group = c.heads / c.kv_heads, packs = (group + pack - 1) / pack;
  const std::int64_t kv_head = blockIdx.y / packs, in_group = blockIdx.y % packs * pack;
  return {parts.first_row + blockIdx.x, blockIdx.z, kv_head, kv_head * group + in_group,
          int(group - in_group < pack ? group - in_group : pack)};
}

/// Attends to the keys of the block's part. Not called for parts that have none.
template <class Number, int chunks, int pack>
__device__ void attend_part(const AttentionCall& c, const Parts& parts, const Piece& piece,
                            std::int64_t begin, std::int64_t end) {
  float* const shared = dev::dynamic_shared<float>();
  const auto [row, part, kv_head, first_head, used] = piece;
  const Sequence sequence = c.sequences[c.row_sequence[row]];
  const int lane = int(threadIdx.x) % dev::kWarp, warp = int(threadIdx.x) / dev::kWarp;
  const int member = lane % kLanes, key_of_lane = warp * kKeysPerWarp + lane / kLanes;
  float4 q[pack][chunks];
  Sums<chunks, pack> sums;
#pragma unroll
  for (int p = 0; p < pack; p++) {
    sums.most[p] = kNoKey;
    sums.weight[p] = 0;
#pragma unroll
    for (int i = 0; i < chunks; i++) {
      const float* head = c.q + row * c.q_stride + (first_head + p) * c.head_dim;
      const std::int64_t dims = p < used ? c.head_dim : 0;
      q[p][i] = read4(head, (i * kLanes + member) * 4, dims, parts.vectors);
      sums.value[p][i] = float4{0, 0, 0, 0};
    }
  }
  for (std::int64_t at = begin; at < end; at += kWarps * kKeysPerWarp) {
    const std::int64_t key = at + key_of_lane;
    const bool real = key < end;
    const Number* k =
        key_address<Number>(c, c.k, c.k_stride, sequence, kv_head, real ? key : begin);
    const Number* v =
        key_address<Number>(c, c.v, c.v_stride, sequence, kv_head, real ? key : begin);
    float score[pack] = {};
#pragma unroll
    for (int i = 0; i < chunks; i++) {
      const float4 x = read4(k, (i * kLanes + member) * 4, c.head_dim, parts.vectors);
#pragma unroll
      for (int p = 0; p < pack; p++) {
        const float4 y = q[p][i];
        score[p] += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
      }
    }
#pragma unroll
    for (int p = 0; p < pack; p++) {
      for (int step = 1; step < kLanes; step *= 2) score[p] += dev::shuffle_xor(score[p], step);
      score[p] = real ? in_log2(c, score[p]) : kNoKey;
      if (score[p] > sums.most[p]) rescale(sums, p, score[p]);
      score[p] = real ? dev::exp2(score[p] - sums.most[p]) : 0.0f;  // now its weight
      sums.weight[p] += score[p];
    }
#pragma unroll
    for (int i = 0; i < chunks; i++) {
      const float4 x = read4(v, (i * kLanes + member) * 4, real ? c.head_dim : 0, parts.vectors);
#pragma unroll
      for (int p = 0; p < pack; p++) {
        float4& sum = sums.value[p][i];
        sum.x += score[p] * x.x, sum.y += score[p] * x.y;
        sum.z += score[p] * x.z, sum.w += score[p] * x.w;
      }
    }
  }
  join_groups(sums);
  leave(sums, shared);
  dev::sync_block();
  for (int p = 0; p < used; p++) {
    write_head<chunks, pack>(c, parts, shared, row, first_head + p, p, part);
  }
}

/// Joins the parts of one head of a row.
__device__ void join_parts(const AttentionCall& c, const Parts& parts, std::int64_t row,
                           std::int64_t head) {
  const std::int64_t begin = c.first_key[row] / kPartKeys;
  std::int64_t end = (c.last_key[row] + kPartKeys - 1) / kPartKeys;
  if (c.first_key[row] >= c.last_key[row]) end = begin;
  float most = kNoKey, weight = 0;
  for (std::int64_t i = begin; i < end; i++) {
    most = fmaxf(most, partial_of(c, parts, row, head, i)[c.head_dim]);
  }
  for (std::int64_t i = begin; i < end; i++) {
    const float* from = partial_of(c, parts, row, head, i) + c.head_dim;
    weight += dev::exp2(from[0] - most) * from[1];
  }
  float* out = c.out + row * c.out_stride + head * c.head_dim;
  for (std::int64_t d = threadIdx.x; d < c.head_dim; d += blockDim.x) {
    float sum = 0;
    for (std::int64_t i = begin; i < end; i++) {
      const float* from = partial_of(c, parts, row, head, i);
      sum += dev::exp2(from[c.head_dim] - most) * from[d];
    }
    out[d] = weight > 0 ? sum / weight : 0.0f;
  }
}

template <class Number, int chunks, int pack>
__global__ void __launch_bounds__(kWarps* dev::kWarp) attend_rows(AttentionCall c, Parts parts) {
  __shared__ unsigned before;
  const Piece piece = piece_of_block<pack>(c, parts);
  std::int64_t begin = piece.part * kPartKeys, end = begin + kPartKeys;
  if (parts.count == 1) end = c.most_keys;
  if (begin < c.first_key[piece.row]) begin = c.first_key[piece.row];
  if (end > c.last_key[piece.row]) end = c.last_key[piece.row];
  if (begin < end || parts.count == 1) {
    attend_part<Number, chunks, pack>(c, parts, piece, begin, end);
  }
  if (parts.count == 1) return;
  unsigned* const arrived = parts.arrived + blockIdx.x * gridDim.y + blockIdx.y;
  dev::publish();  // what this thread wrote, before it counts as done
  dev::sync_block();
  if (threadIdx.x == 0) before = dev::count_up(arrived);
  dev::sync_block();
  if (before + 1 != unsigned(parts.count)) return;
  dev::publish();  // the others' parts are there
  for (int p = 0; p < piece.used; p++) join_parts(c, parts, piece.row, piece.first_head + p);
  if (threadIdx.x == 0) *arrived = 0;  // for the next launch
}

/// Whether heads of q, k and v all begin where four of their numbers can be read at once.
template <class Number>
bool aligned(const AttentionCall& c) {
  const auto fits = [](const void* p, std::int64_t stride, std::size_t number) {
    return reinterpret_cast<std::uintptr_t>(p) % (4 * number) == 0 && stride % 4 == 0;
  };
  return c.head_dim % 4 == 0 && fits(c.q, c.q_stride, sizeof(float)) &&
         fits(c.k, c.paged ? 0 : c.k_stride, sizeof(Number)) &&
         fits(c.v, c.paged ? 0 : c.v_stride, sizeof(Number));
}

template <class Number, int chunks, int pack>
void run(Session& session, const AttentionCall& call) {
  constexpr int kDims = chunks * kLanes * 4;
  const std::int64_t group = call.heads / call.kv_heads, packs = (group + pack - 1) / pack;
  Parts parts{nullptr, nullptr, 0, (call.most_keys + kPartKeys - 1) / kPartKeys,
              aligned<Number>(call)};
  if (parts.count < 1) parts.count = 1;
  std::int64_t slice = call.rows;
  if (parts.count > 1) {
    const std::int64_t row_bytes = call.heads * parts.count * (call.head_dim + 2) * 4;
    slice = kScratchBytes / row_bytes > 1 ? kScratchBytes / row_bytes : 1;
    const std::int64_t counters = std::int64_t(kCounters) / (call.kv_heads * packs);
    if (slice > counters) slice = counters;
    if (slice > call.rows) slice = call.rows;
    parts.arrived = session.counters();
    parts.data = static_cast<float*>(session.scratch(std::uint64_t(slice * row_bytes)));
  }
  const std::size_t shared = std::size_t(kWarps * pack * (kDims + 2)) * sizeof(float);
  for (; parts.first_row < call.rows; parts.first_row += slice) {
    const std::int64_t left = call.rows - parts.first_row, count = left < slice ? left : slice;
    const dev::Grid grid(unsigned(count), unsigned(call.kv_heads * packs), unsigned(parts.count));
    dev::launch(session, attend_rows<Number, chunks, pack>, grid, kWarps * dev::kWarp, shared, call,
                parts);
  }
}

/// Packs as many query heads as registers hold.
template <class Number, int chunks>
void run_packed(Session& session, const AttentionCall& call) {
  constexpr int kPack = chunks > 4 ? 2 : 4;
  if (call.heads == call.kv_heads) return run<Number, chunks, 1>(session, call);
  run<Number, chunks, kPack>(session, call);
}

template <class Number>
void run_sized(Session& session, const AttentionCall& call) {
  if (call.head_dim <= 64) return run_packed<Number, 2>(session, call);
  if (call.head_dim <= 96) return run_packed<Number, 3>(session, call);
  if (call.head_dim <= 128) return run_packed<Number, 4>(session, call);
  run_packed<Number, 8>(session, call);
}

}  // namespace

void attention_rows(Session& session, const AttentionCall& call) {
  if (call.paged && call.bf16_pages) return run_sized<std::uint16_t>(session, call);
  run_sized<float>(session, call);
}

}  // namespace chiasm::device
