// Every operation of dev.h once (intrinsics.h).
#include "kernels/cuda/dev.h"
#include "kernels/cuda/intrinsics.h"

namespace chiasm::device {

namespace {

constexpr int kTileNumbers = 8 * dev::kWarp;  // four matrices of 8 x 8, a row a lane

/// As attention_rows.cu joins the parts of the keys: the warp that counts up last sees what all
/// others have left.
__device__ std::uint32_t join(const IntrinsicsCall& call, std::uint32_t mine) {
  const std::int64_t lane = threadIdx.x;
  unsigned before = 0;
  call.left[std::int64_t(blockIdx.x) * dev::kWarp + lane] = mine;
  dev::publish();
  dev::sync_warp();
  if (lane == 0) before = dev::count_up(call.counters + call.warps);
  before = dev::shuffle(before, 0);
  if (before + 1 != unsigned(call.warps)) return 0;
  dev::publish();
  std::uint32_t all = 0;
  for (std::int64_t i = 0; i < call.warps * dev::kWarp; i++) all ^= call.left[i];
  return all;
}

__global__ void try_all(IntrinsicsCall call) {
  alignas(16) __shared__ std::uint32_t tile[kTileNumbers / 2];
  alignas(16) __shared__ std::uint32_t copies[2 * kTileNumbers / 2];
  const int lane = int(threadIdx.x);
  const IntrinsicsIn in = call.in[std::int64_t(blockIdx.x) * dev::kWarp + lane];
  IntrinsicsOut out;
  std::uint32_t* const copied = copies + lane * 4;
  std::uint32_t* const zeros = copies + kTileNumbers / 2 + lane * 4;
  const IntrinsicsIn* const from = call.in + std::int64_t(blockIdx.x) * dev::kWarp + lane;
  dev::copy_async16(copied, from->tile, true);
  dev::commit_copies();
  dev::copy_async16(zeros, from->tile, false);
  dev::commit_copies();
  for (int i = 0; i < 4; i++) {
    tile[lane * 4 + i] = in.tile[i];
    out.product[i] = in.c[i];
  }
  dev::sync_warp();
  dev::load_matrix4<false>(out.rows, tile + lane * 4);
  dev::load_matrix4<true>(out.columns, tile + lane * 4);
  dev::multiply_bf16(out.product, in.a, in.b[0], in.b[1]);
  for (int i = 0; i < 5; i++) out.exchanged[i] = dev::shuffle_xor(in.any, 1 << i);
  out.taken = dev::shuffle(in.any, int(in.lane));
  dev::wait_copies<1>();
  for (int i = 0; i < 4; i++) out.copied[i] = copied[i];
  dev::wait_copies<0>();
  for (int i = 0; i < 4; i++) out.zeros[i] = zeros[i];
  out.power = dev::exp2(in.number);
  out.narrowed = dev::to_bf16(in.number);
  out.packed = dev::pack_bf16(in.number, in.other);
  out.widened = dev::from_bf16(std::uint16_t(in.half >> 16));
  out.from_half = dev::from_half(std::uint16_t(in.half));
  out.sum = dev::warp_sum(in.c[0]);
  out.most = dev::warp_max(in.c[0]);
  out.counts = dev::warp_sum(float(dev::count_up(call.counters + blockIdx.x)));
  out.joined = join(call, in.any);
  call.out[std::int64_t(blockIdx.x) * dev::kWarp + lane] = out;
}

}  // namespace

}  // namespace chiasm::device

extern "C" __attribute__((visibility("default"))) chiasm::device::Status chiasm_device_intrinsics(
    chiasm::device::Session* session, const chiasm::device::IntrinsicsCall* call) {
  using namespace chiasm::device;
  return guarded(session, [&] {
    dev::launch(*session, try_all, dev::Grid(unsigned(call->warps)), dev::kWarp, 0, *call);
  });
}
