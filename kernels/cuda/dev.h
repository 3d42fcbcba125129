#pragma once
/// The only things of a GPU that kernels use, each in two forms: on a card (card/dev.h) and
/// emulated on the CPU (emulation/dev.h), so that one source is compiled by nvcc for users and by
/// the host's compiler for tests. What an instruction does on the card is our reading of the PTX
/// manual (ISA 8.x, docs.nvidia.com/cuda/parallel-thread-execution); it has not been compared with
/// a card yet.
///
///   threadIdx, blockIdx, blockDim, gridDim, __global__, __device__, __shared__  as in CUDA
///   dev::sync_block(), dev::sync_warp()      barriers
///   dev::shuffle_xor(v, mask), dev::shuffle(v, lane)   of all 32 lanes; v of 4 bytes
///   dev::dynamic_shared<T>()                 the launch's shared memory, aligned to 128 bytes
///   dev::copy_async16(to, from, real)        16 bytes from global to shared memory; zeros if not
///   real dev::commit_copies(), dev::wait_copies<N>()   groups of them; all but the last N have
///   landed dev::load_matrix4<transposed>(r, row)    four 8 x 8 matrices of 16 bits (ldmatrix.x4)
///   dev::multiply_bf16(c, a, b0, b1)         c += a b, 16 x 8 x 16 (mma.sync.m16n8k16)
///   dev::exp2(x)                             2^x, relative error 2^-22
///   dev::to_bf16(x), from_bf16(u), pack_bf16(low, high), from_half(u)   16-bit numbers
///   dev::publish()                           this thread's writes are seen before its later ones
///   dev::count_up(p)                         *p += 1 in global memory, seen by all; what it was
///   dev::launch(session, kernel, grid, threads, shared_bytes, arguments...)
#if defined(__CUDACC__)
#include "kernels/cuda/card/dev.h"
#else
#include "kernels/cuda/emulation/dev.h"
#endif

namespace chiasm::device::dev {

inline constexpr int kWarp = 32;

/// The sum of v over the warp, in every lane. Always added in the same order.
__device__ inline float warp_sum(float v) {
  for (int step = kWarp / 2; step > 0; step /= 2) v += shuffle_xor(v, step);
  return v;
}

__device__ inline float warp_max(float v) {
  for (int step = kWarp / 2; step > 0; step /= 2) v = fmaxf(v, shuffle_xor(v, step));
  return v;
}

}  // namespace chiasm::device::dev
