// Compiled with AVX-512 flags, so intrinsics and plain structs only.
#include "tests/unit/amx_emulation.h"

#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm_amx_inl.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::testing {

namespace {

using namespace chiasm::kernels::cpu;  // NOLINT: the kernels' own names, as in gemm_amx.cpp

const char* fault = "";

/// As Intel's manual describes them, one thread's tiles. A value outside a tile's size is zero.
struct Tiles {
  struct Register {
    int rows, bytes;
    alignas(64) unsigned char data[16][64];
  };
  static thread_local Register tile[8];
  static thread_local bool configured;

  static void configure(int rows, int b_rows, int a_bytes) {
    const int sizes[][3] = {{kC0, rows, 64},
                            {kC1, rows, 64},
                            {kA, rows, a_bytes},
                            {kB0, b_rows, 64},
                            {kB1, b_rows, 64}};
    for (const auto& s : sizes) {
      if (s[1] < 1 || s[1] > 16 || s[2] < 4 || s[2] > 64) fault = "a tile of impossible size";
      tile[s[0]].rows = s[1];
      tile[s[0]].bytes = s[2];
    }
    configured = true;
    for (Register& t : tile) __builtin_memset(t.data, 0, sizeof t.data);
  }
  static void release() { configured = false; }
  static void check() {
    if (!configured) fault = "tiles used before they are set up";
  }
  template <int T>
  static void zero() {
    check();
    __builtin_memset(tile[T].data, 0, sizeof tile[T].data);
  }
  template <int T>
  static void load(const void* from, std::int64_t stride) {
    zero<T>();
    for (int r = 0; r < tile[T].rows; r++) {
      __builtin_memcpy(tile[T].data[r], static_cast<const char*>(from) + r * stride,
                       std::size_t(tile[T].bytes));
    }
  }
  template <int T>
  static void store(void* to, std::int64_t stride) {
    check();
    for (int r = 0; r < tile[T].rows; r++) {
      __builtin_memcpy(static_cast<char*>(to) + r * stride, tile[T].data[r],
                       std::size_t(tile[T].bytes));
    }
  }
  template <int C, int A, int B>
  static void check_dot() {
    check();
    const bool fits = tile[C].rows == tile[A].rows && tile[A].bytes == 4 * tile[B].rows &&
                      tile[C].bytes == tile[B].bytes;
    if (!fits) fault = "tiles whose sizes do not agree";
  }
  static float widen(const unsigned char* bf16) {
    const unsigned bits = unsigned(bf16[0]) << 16 | unsigned(bf16[1]) << 24;
    return __builtin_bit_cast(float, bits);
  }
  // Even and odd inputs add up apart, from zero; their sums join C.
  template <int C, int A, int B>
  static void dot_bf16() {
    check_dot<C, A, B>();
    for (int m = 0; m < tile[C].rows; m++) {
      for (int n = 0; n < 16; n++) {
        float even = 0, odd = 0;
        for (int k = 0; k < tile[B].rows; k++) {
          const unsigned char *a = tile[A].data[m] + 4 * k, *b = tile[B].data[k] + 4 * n;
          even = __builtin_fmaf(widen(a), widen(b), even);
          odd = __builtin_fmaf(widen(a + 2), widen(b + 2), odd);
        }
        float c;
        __builtin_memcpy(&c, tile[C].data[m] + 4 * n, 4);
        c += even + odd;
        __builtin_memcpy(tile[C].data[m] + 4 * n, &c, 4);
      }
    }
  }
  template <int C, int A, int B>
  static void dot_int8() {
    check_dot<C, A, B>();
    for (int m = 0; m < tile[C].rows; m++) {
      for (int n = 0; n < 16; n++) {
        std::int32_t c;
        __builtin_memcpy(&c, tile[C].data[m] + 4 * n, 4);
        for (int k = 0; k < tile[B].rows; k++) {
          for (int i = 0; i < 4; i++) {
            c += int(static_cast<signed char>(tile[A].data[m][4 * k + i])) *
                 int(tile[B].data[k][4 * n + i]);
          }
        }
        __builtin_memcpy(tile[C].data[m] + 4 * n, &c, 4);
      }
    }
  }
};
thread_local Tiles::Register Tiles::tile[8];
thread_local bool Tiles::configured = false;

void pack_q8_rows(const PackRows& p) { kGemmQ8RowsAvx512.pack_rows(p); }

}  // namespace

const kernels::cpu::GemmKernel kEmulatedAmxBf16 = {
    kAmxRows,         kAmxInputs,           kAmxRowBytes,
    amx_pack_bf16,    amx_bf16_tile<Tiles>, amx_bf16_tile<Tiles>,
    finish<VecAvx512>};
const kernels::cpu::GemmKernel kEmulatedAmxQ8Rows = {kAmxRows,
                                                     kWideGroup,
                                                     kWideUnit,
                                                     pack_q8_rows,
                                                     amx_q8_rows_tile<Tiles>,
                                                     amx_q8_rows_tile<Tiles>,
                                                     finish<VecAvx512>};
const char* emulated_amx_fault() { return fault; }

}  // namespace chiasm::testing
