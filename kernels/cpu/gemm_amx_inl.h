#pragma once
/// Matrix products by AMX tiles, of bfloat16 and of 8-bit weights with one scale for each output.
///
/// UNTESTED ON HARDWARE: no CPU with AMX has run this yet. The tests run it over an emulation of
/// the tile instructions, and `linear` takes it only where CHIASM_AMX=1 asks for it.
///
/// `Tiles` brings the instructions (Intel's Software Developer's Manual, volume 1, chapter
/// "Programming with Intel AMX"): a tile is up to 16 rows of up to 64 bytes, and
///   dot_bf16<C, A, B>: C[m][n] += sum over pairs k of A[m][k] . B[k][n]   (bfloat16 to float32)
///   dot_int8<C, A, B>: the same over fours of signed A and unsigned B     (8 bits to int32)
/// The packed weights of packed.h are such B tiles as they lie. Rows of activations are A tiles.
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/int_sums_avx512_inl.h"
#include "kernels/cpu/quant_layout.h"

namespace chiasm::kernels::cpu {
namespace {

constexpr int kAmxRows = 16;               // rows of a tile
constexpr int kAmxInputs = 32;             // bfloat16 inputs of a tile's row
constexpr int kAmxRowBytes = 64;           // bytes of a tile's row
constexpr int kAmxPairs = kAmxInputs / 2;  // rows of a B tile of bfloat16
constexpr int kAmxFours = kGroup / 4;      // rows of a B tile of 8 bits: a block of weights
constexpr int kC0 = 0, kC1 = 1, kA = 2, kB0 = 3, kB1 = 4;  // tile registers
constexpr int kSumStride = kPanel * int(sizeof(float));    // bytes between rows of Tile::c

// V vectors of 16 outputs by all rows of `t`. The instruction adds 32 inputs on their own before
// they join a sum, so that all numbers of rows have to come here: a row's bits depend on it.
template <class Tiles, int V>
void amx_bf16(const Tile& t) {
  Tiles::configure(t.rows, kAmxPairs, kAmxRowBytes);
  if (t.resume) {
    Tiles::template load<kC0>(t.c, kSumStride);
    if constexpr (V == 2) Tiles::template load<kC1>(t.c + kLanes, kSumStride);
  } else {
    Tiles::template zero<kC0>();
    if constexpr (V == 2) Tiles::template zero<kC1>();
  }
  const auto add = [&](const char* a, const char* b) {
    Tiles::template load<kA>(a, kAmxRowBytes);
    Tiles::template load<kB0>(b, V * kAmxRowBytes);
    Tiles::template dot_bf16<kC0, kA, kB0>();
    if constexpr (V == 2) {
      Tiles::template load<kB1>(b + kAmxRowBytes, V * kAmxRowBytes);
      Tiles::template dot_bf16<kC1, kA, kB1>();
    }
  };
  const auto* a = static_cast<const char*>(t.a);
  const auto* b = static_cast<const char*>(t.b);
  std::int64_t left = t.k;
  for (; left >= kAmxInputs; left -= kAmxInputs) {
    add(a, b);
    a += t.rows * kAmxRowBytes;
    b += V * kAmxPairs * kAmxRowBytes;
  }
  if (left > 0) {  // what lies behind the last weights is not theirs
    alignas(64) char last[V * kAmxPairs * kAmxRowBytes] = {};
    __builtin_memcpy(last, b, std::size_t((left + 1) / 2 * V * kAmxRowBytes));
    add(a, last);
  }
  Tiles::template store<kC0>(t.c, kSumStride);
  if constexpr (V == 2) Tiles::template store<kC1>(t.c + kLanes, kSumStride);
  Tiles::release();
}

// The same of 8-bit weights and groups of 128 inputs: the integers, and so the sums, of
// gemm_q8_rows_avx512.cpp bit for bit, whose packed rows it reads.
template <class Tiles, int V>
void amx_q8_rows(const Tile& t) {
  constexpr int kBlocks = kWideGroup / kGroup;
  alignas(64) std::int32_t dots[V][kAmxRows][kLanes];
  Tiles::configure(t.rows, kAmxFours, kGroup);
  const auto* a = static_cast<const char*>(t.a);
  const auto* b = static_cast<const char*>(t.b);
  bool resume = t.resume;
  for (std::int64_t left = (t.k + kGroup - 1) / kGroup; left > 0; left -= kBlocks) {
    Tiles::template zero<kC0>();
    if constexpr (V == 2) Tiles::template zero<kC1>();
    for (int i = 0; i < kBlocks && i < left; i++, b += V * kQ8RowsBlock) {
      Tiles::template load<kA>(a + i * kGroup, kWideUnit);
      Tiles::template load<kB0>(b, kAmxRowBytes);
      Tiles::template dot_int8<kC0, kA, kB0>();
      if constexpr (V == 2) {
        Tiles::template load<kB1>(b + kQ8RowsBlock, kAmxRowBytes);
        Tiles::template dot_int8<kC1, kA, kB1>();
      }
    }
    Tiles::template store<kC0>(dots[0], kAmxRowBytes);
    if constexpr (V == 2) Tiles::template store<kC1>(dots[1], kAmxRowBytes);
    for (int r = 0; r < t.rows; r++, a += kWideUnit) {
      const __m512 scale = _mm512_set1_ps(*reinterpret_cast<const float*>(a + kWideGroup));
      const __m512i correction =
          _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(a + kWideGroup + 4));
      for (int v = 0; v < V; v++) {
        float* const c = t.c + r * kPanel + v * kLanes;
        const __m512 sum = resume ? _mm512_loadu_ps(c) : _mm512_setzero_ps();
        const __m512i dot = _mm512_add_epi32(_mm512_load_si512(dots[v][r]), correction);
        _mm512_storeu_ps(c, _mm512_fmadd_ps(scale, sum_of(dot), sum));
      }
    }
    resume = true;
  }
  Tiles::release();
}

template <class Tiles>
void amx_bf16_tile(const Tile& t) {
  t.width == kPanel ? amx_bf16<Tiles, 2>(t) : amx_bf16<Tiles, 1>(t);
}
template <class Tiles>
void amx_q8_rows_tile(const Tile& t) {
  t.width == kPanel ? amx_q8_rows<Tiles, 2>(t) : amx_q8_rows<Tiles, 1>(t);
}

// Narrows by rounding to nearest, ties to even; zeros behind the last input.
void amx_pack_bf16(const PackRows& p) {
  auto* out = static_cast<char*>(p.out);
  const auto lanes = [](std::int64_t left) {
    return left >= kLanes ? __mmask16(0xffff)
           : left <= 0    ? __mmask16(0)
                          : __mmask16((1 << left) - 1);
  };
  for (std::int64_t k = 0; k < p.k; k += kAmxInputs) {
    for (int r = 0; r < p.rows; r++, out += kAmxRowBytes) {
      const float* const x = p.x + r * p.x_stride + k;
      const __m512 low = _mm512_maskz_loadu_ps(lanes(p.k - k), x);
      const __m512 high = _mm512_maskz_loadu_ps(lanes(p.k - k - kLanes), x + kLanes);
      _mm512_storeu_si512(out, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
