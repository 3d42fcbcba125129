// Matrix products by AMX, see gemm_amx_inl.h. UNTESTED ON HARDWARE.
#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm_amx_inl.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::kernels::cpu {

namespace {

struct AmxTiles {
  // What LDTILECFG reads.
  struct alignas(64) Config {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
  };
  static_assert(sizeof(Config) == 64);

  // `rows` of `a_bytes` for A, `b_rows` whole rows for B. Another library may have used the tiles
  // of this thread in between, so every product sets them up.
  static void configure(int rows, int b_rows, int a_bytes) {
    Config c;
    const auto set = [&](int tile, int tile_rows, int bytes) {
      c.rows[tile] = std::uint8_t(tile_rows);
      c.row_bytes[tile] = std::uint16_t(bytes);
    };
    set(kC0, rows, kAmxRowBytes);
    set(kC1, rows, kAmxRowBytes);
    set(kA, rows, a_bytes);
    set(kB0, b_rows, kAmxRowBytes);
    set(kB1, b_rows, kAmxRowBytes);
    _tile_loadconfig(&c);
  }
  static void release() { _tile_release(); }
  // GCC's intrinsics take a tile's number as a literal only, no constant of a template.
  template <int T>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(T));
  }
  template <int T>
  static void load(const void* from, std::int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  static void store(void* to, std::int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
  }
  template <int C, int A, int B>
  static void dot_bf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
  template <int C, int A, int B>
  static void dot_int8() {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
};

void pack_q8_rows(const PackRows& p) { kGemmQ8RowsAvx512.pack_rows(p); }

}  // namespace

const GemmKernel kGemmAmxBf16 = {kAmxRows,
                                 kAmxInputs,
                                 kAmxRowBytes,
                                 amx_pack_bf16,
                                 amx_bf16_tile<AmxTiles>,
                                 amx_bf16_tile<AmxTiles>,
                                 finish<VecAvx512>};
const GemmKernel kGemmAmxQ8Rows = {kAmxRows,
                                   kWideGroup,
                                   kWideUnit,
                                   pack_q8_rows,
                                   amx_q8_rows_tile<AmxTiles>,
                                   amx_q8_rows_tile<AmxTiles>,
                                   finish<VecAvx512>};

}  // namespace chiasm::kernels::cpu
