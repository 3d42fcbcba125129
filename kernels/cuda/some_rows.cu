// Products of some rows with weights of 4, 8 or 16 bits, on tensor cores: a block makes 32 outputs
// of all rows. Stretches of the inputs pass through shared memory as they are kept, the next one on
// its way while one is multiplied, and become bfloat16 in registers, so that each weight is read
// once. Two pairs of warps share out the inputs of a stretch and add up at the end.
#include "kernels/cuda/functions.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/weights.h"

namespace chiasm::device {

namespace {

constexpr int kOutputs = 32, kStretch = 128;  // outputs of a block, inputs of a stretch
constexpr int kWarps = 4, kThreads = kWarps * dev::kWarp;
constexpr int kUnit = 16;  // bytes of one copy
// Rows in shared memory end in as many unused bytes as put those that are read at once into
// different banks: a warp reads 4 pieces each of 8 rows.
constexpr int kXRow = kStretch + 32;  // numbers
template <Format format>
constexpr int kWRow = (kStretch / 8 + 4) * kBytesOf8<format>;  // bytes

template <Format format, int tiles>
constexpr std::size_t kSharedBytes = 2 * (std::size_t(8 * tiles) * kXRow * sizeof(std::uint16_t) +
                                          kOutputs * kWRow<format>);

/// c += w x^T for 16 outputs, 8 * tiles rows and 32 inputs of a stretch. Which input stands where
/// inside a product is free, as long as w and x agree: a lane takes 8 neighbouring ones of each.
template <Format format, int tiles>
__device__ void multiply_32(const MatrixRef& m, std::int64_t output, std::int64_t input,
                            const std::uint8_t* w, const std::uint16_t* x, float (&c)[tiles][4]) {
  const int lane = int(threadIdx.x) % dev::kWarp, group = lane / 4, piece = lane % 4;
  std::uint32_t a[2][4];  // of both products
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const std::int64_t o = output + group + 8 * half, i = input + 8 * piece;
    float v[8] = {};
    if (o < m.out && i < m.padded) {
      widen8<format>(w + (group + 8 * half) * kWRow<format> + piece * kBytesOf8<format>,
                     shared8<format>(m, o, i), v);
    }
#pragma unroll
    for (int j = 0; j < 4; j++) a[j / 2][j % 2 * 2 + half] = dev::pack_bf16(v[2 * j], v[2 * j + 1]);
  }
#pragma unroll
  for (int t = 0; t < tiles; t++) {
    const auto b = *reinterpret_cast<const uint4*>(x + (t * 8 + group) * kXRow + piece * 8);
    dev::multiply_bf16(c[t], a[0], b.x, b.y);
    dev::multiply_bf16(c[t], a[1], b.z, b.w);
  }
}

template <Format format, int tiles>
__global__ void __launch_bounds__(kThreads, 4) some_rows(LinearCall call, const std::uint16_t* x) {
  constexpr int kRows = 8 * tiles;
  const MatrixRef& m = call.w;
  auto* const x_tiles = dev::dynamic_shared<std::uint16_t>();
  auto* const w_tiles = reinterpret_cast<std::uint8_t*>(x_tiles + 2 * kRows * kXRow);
  const int thread = int(threadIdx.x), warp = thread / dev::kWarp;
  const std::int64_t first = std::int64_t(blockIdx.x) * kOutputs;
  const std::int64_t w_bytes = m.padded / 8 * kBytesOf8<format>;
  const auto load = [&](std::int64_t begin) {
    if (begin < m.padded) {
      const int buffer = int(begin / kStretch % 2);
      constexpr int kXUnits = kStretch * 2 / kUnit,
                    kWUnits = kStretch / 8 * kBytesOf8<format> / kUnit;
      for (int i = thread; i < kRows * kXUnits; i += kThreads) {
        const int r = i / kXUnits, k = i % kXUnits * 8;
        const bool real = r < call.rows && begin + k < m.padded;
        dev::copy_async16(x_tiles + (buffer * kRows + r) * kXRow + k,
                          x + (real ? r * m.padded + begin + k : 0), real);
      }
      const std::int64_t w_begin = begin / 8 * kBytesOf8<format>;
      for (int i = thread; i < kOutputs * kWUnits; i += kThreads) {
        const int o = i / kWUnits, k = i % kWUnits * kUnit;
        const bool real = first + o < m.out && w_begin + k < w_bytes;
        dev::copy_async16(w_tiles + (buffer * kOutputs + o) * kWRow<format> + k,
                          static_cast<const std::uint8_t*>(m.data) +
                              (real ? (first + o) * w_bytes + w_begin + k : 0),
                          real);
      }
    }
    dev::commit_copies();
  };
  load(0);
  const int of_16 = warp % 2 * 16, part = warp / 2;  // which outputs, which half of a stretch
  float c[tiles][4] = {};
  for (std::int64_t begin = 0; begin < m.padded; begin += kStretch) {
    const int buffer = int(begin / kStretch % 2);
    load(begin + kStretch);
    dev::wait_copies<1>();
    dev::sync_block();
#pragma unroll 1
    for (int k = part * kStretch / 2; k < (part + 1) * kStretch / 2; k += 32) {
      multiply_32<format, tiles>(
          m, first + of_16, begin + k,
          w_tiles + (buffer * kOutputs + of_16) * kWRow<format> + k / 8 * kBytesOf8<format>,
          x_tiles + buffer * kRows * kXRow + k, c);
    }
    dev::sync_block();  // the buffer is free
  }
  dev::wait_copies<0>();
  // The second pair's sums, [thread][tiles][4], where x was.
  auto* const sums = reinterpret_cast<float*>(x_tiles);
  const int in_pair = thread % (kThreads / 2);
  if (part == 1) {
#pragma unroll
    for (int i = 0; i < 4 * tiles; i++) sums[in_pair * tiles * 4 + i] = c[i / 4][i % 4];
  }
  dev::sync_block();
  if (part == 1) return;
  const int lane = thread % dev::kWarp;
#pragma unroll
  for (int i = 0; i < 4 * tiles; i++) {
    const std::int64_t o = first + of_16 + lane / 4 + i % 4 / 2 * 8;
    const std::int64_t row = i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (o >= m.out || row >= call.rows) continue;
    const float bias = call.bias != nullptr ? call.bias[o] : 0.0f;
    const float sum = c[i / 4][i % 4] + sums[in_pair * tiles * 4 + i];
    const float value = apply(call.function, sum + bias);
    float* y = call.y + row * call.y_stride + o;
    *y = call.accumulate ? *y + value : value;
  }
}

template <Format format, int tiles>
void run(Session& session, const LinearCall& call, const std::uint16_t* x) {
  dev::launch(session, some_rows<format, tiles>,
              dev::Grid(unsigned((call.w.out + kOutputs - 1) / kOutputs)), kThreads,
              (kSharedBytes<format, tiles>), call, x);
}

template <Format format>
void run_sized(Session& session, const LinearCall& call, const std::uint16_t* x) {
  // A row's sum is the same in each of them.
  if (call.rows <= 16) return run<format, 2>(session, call, x);
  if (call.rows <= 32) return run<format, 4>(session, call, x);
  run<format, 8>(session, call, x);
}

}  // namespace

void multiply_some_rows(Session& session, const LinearCall& call, const std::uint16_t* x) {
  with_format(call.w.format, [&]<Format format>() {
    if constexpr (format == Format::f32 || format == Format::bf16) {
      throw Failure(Status::unsupported, "a product of some rows with weights of this format");
    } else {
      run_sized<format>(session, call, x);
    }
  });
}

}  // namespace chiasm::device
