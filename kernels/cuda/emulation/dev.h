#pragma once
/// The emulated form of kernels/cuda/dev.h.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/cuda/emulation/block.h"
#include "kernels/cuda/session.h"

// What nvcc knows by itself.
// NOLINTBEGIN(bugprone-reserved-identifier)
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static thread_local
// NOLINTEND(bugprone-reserved-identifier)
#define threadIdx (::chiasm::device::emulation::place().thread)
#define blockIdx (::chiasm::device::emulation::place().block)
#define blockDim (::chiasm::device::emulation::place().threads)
#define gridDim (::chiasm::device::emulation::place().blocks)
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  std::uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
  std::uint32_t x, y;
};

namespace chiasm::device::dev {

struct Grid : emulation::Index {
  explicit Grid(unsigned a, unsigned b = 1, unsigned c = 1) : Index{a, b, c} {}
};

using emulation::commit_copies;
using emulation::copy_async16;
using emulation::sync_block;

inline void sync_warp() { emulation::meet(emulation::Collective::sync, {}); }

template <class T>
T shuffle_from(emulation::Collective kind, T v, unsigned lane) {
  static_assert(sizeof(T) == 4);
  emulation::Slot slot{};
  std::memcpy(slot.words, &v, 4);
  const emulation::Slot* all = emulation::meet(kind, slot);
  std::memcpy(&v, all[lane].words, 4);
  return v;
}
template <class T>
T shuffle_xor(T v, int mask) {
  return shuffle_from(emulation::Collective::shuffle_xor, v,
                      emulation::place().lane ^ unsigned(mask));
}
template <class T>
T shuffle(T v, int lane) {
  return shuffle_from(emulation::Collective::shuffle, v, unsigned(lane) % 32);
}

/// Blocks run one after the other. Atomic for ThreadSanitizer, which takes fibers for threads.
inline void publish() {}
inline unsigned count_up(unsigned* p) { return __atomic_fetch_add(p, 1u, __ATOMIC_RELAXED); }

template <class T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(emulation::place().shared);
}

template <int N>
void wait_copies() {
  emulation::wait_copies(N);
}

/// As a card's ex2.approx.ftz, what is below the smallest normal number is 0.
inline float exp2(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}

/// To nearest, ties to even; NaN as a card gives it.
inline std::uint16_t to_bf16(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return std::uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
inline float from_bf16(std::uint16_t u) { return std::bit_cast<float>(std::uint32_t(u) << 16); }
inline std::uint32_t pack_bf16(float low, float high) {
  return std::uint32_t(to_bf16(low)) | std::uint32_t(to_bf16(high)) << 16;
}
inline float from_half(std::uint16_t u) {
  const std::uint32_t sign = std::uint32_t(u & 0x8000u) << 16, exponent = (u >> 10) & 0x1fu,
                      mantissa = u & 0x3ffu;
  if (exponent == 0) {  // subnormal: mantissa * 2^-24
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(float(mantissa) * 0x1p-24f) | sign);
  }
  const std::uint32_t widened = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
}

/// Lane l holds, of a (16 x 16): rows l/4 and l/4 + 8, columns 2(l%4), +1, +8, +9; of b (16 x 8):
/// column l/4, rows 2(l%4), +1, +8, +9; of c (16 x 8): rows l/4 and l/4 + 8, columns 2(l%4), +1.
inline void multiply_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                          std::uint32_t b1) {
  emulation::Slot slot{};
  std::memcpy(slot.words, a, sizeof a);
  slot.words[4] = b0;
  slot.words[5] = b1;
  const emulation::Slot* all = emulation::meet(emulation::Collective::multiply, slot);
  const unsigned group = emulation::place().lane / 4, pair = emulation::place().lane % 4;
  for (unsigned i = 0; i < 4; i++) {
    const unsigned lower = i / 2, column = 2 * pair + i % 2;
    float sum = c[i];
    for (unsigned k = 0; k < 8; k++) {  // pairs of the inner dimension
      const std::uint32_t x = all[group * 4 + k % 4].words[k / 4 * 2 + lower];
      const std::uint32_t y = all[column * 4 + k % 4].words[4 + k / 4];
      sum += from_bf16(std::uint16_t(x)) * from_bf16(std::uint16_t(y));
      sum += from_bf16(std::uint16_t(x >> 16)) * from_bf16(std::uint16_t(y >> 16));
    }
    c[i] = sum;
  }
}

/// Lanes 8m to 8m + 7 bring the rows of matrix m; lane l gets elements 2(l%4), +1 of row l/4 of
/// each, or of its column.
template <bool transposed>
void load_matrix4(std::uint32_t (&r)[4], const void* mine) {
  if (reinterpret_cast<std::uintptr_t>(mine) % 16 != 0) {
    emulation::die("a row of a matrix is not aligned to 16 bytes");
  }
  emulation::Slot slot{};
  slot.address = mine;
  const emulation::Slot* all = emulation::meet(
      transposed ? emulation::Collective::load_transposed : emulation::Collective::load, slot);
  const unsigned major = emulation::place().lane / 4, minor = 2 * (emulation::place().lane % 4);
  for (unsigned m = 0; m < 4; m++) {
    const auto element = [&](unsigned row, unsigned column) -> std::uint32_t {
      return static_cast<const std::uint16_t*>(all[m * 8 + row].address)[column];
    };
    r[m] = transposed ? element(minor, major) | element(minor + 1, major) << 16
                      : element(major, minor) | element(major, minor + 1) << 16;
  }
}

template <class... Parameters, class... Arguments>
void launch(Session& session, void (*kernel)(Parameters...), Grid grid, int threads,
            std::size_t shared_bytes, Arguments... arguments) {
  emulation::submit(session, [=] {
    emulation::run_grid(grid, unsigned(threads), shared_bytes, [=] { kernel(arguments...); });
  });
}

}  // namespace chiasm::device::dev
