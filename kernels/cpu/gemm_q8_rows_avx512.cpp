// Product of 8-bit weights with one scale for each output and int8 activations in groups of 128, by
// VPDPBUSD. Integers add up over a group, so that a conversion and a multiply-add (which the units
// of VPDPBUSD would have to do) come once in 32 products instead of once in 8.
#include <immintrin.h>

#include "kernels/cpu/asking_inl.h"
#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/int_sums_avx512_inl.h"
#include "kernels/cpu/quant_layout.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kRows = 6;               // 6 rows x 2 vectors: see gemm_quant_avx512.cpp
constexpr std::int64_t kAhead = 8192;  // bytes that a stream prefetches ahead
constexpr std::int64_t kPackAhead = 2 * kWideGroup;  // floats of a row that packing asks for ahead
constexpr int kSteps = kGroup / 4;                   // dot products of 4 in a block of weights
constexpr int kRowSteps = kWideUnit / 4;             // from one row of a group to the next
constexpr int kCorrection = kWideGroup / 4 + 1;

// One block of 32 inputs: dot += weights * activations. `x` are the activations of the first row.
template <int R, int V>
inline __attribute__((always_inline)) void block(const std::int32_t* x, const char* b,
                                                 __m512i (&dot)[R][V]) {
#pragma GCC unroll 8
  for (int j = 0; j < kSteps; j++) {
    __m512i w[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) w[v] = _mm512_loadu_si512(b + v * kQ8RowsBlock + 64 * j);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const __m512i four = _mm512_set1_epi32(x[r * kRowSteps + j]);
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) dot[r][v] = _mm512_dpbusd_epi32(dot[r][v], w[v], four);
    }
  }
}

// R rows times the V vectors of a panel; see Tile.
template <int R, int V, bool kStream>
void multiply(const Tile& t) {
  float* const c = t.c;
  __m512 sum[R][V];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      sum[r][v] = t.resume ? _mm512_loadu_ps(c + r * kPanel + v * kLanes) : _mm512_setzero_ps();
    }
  }
  const auto* a = static_cast<const char*>(t.a);
  const auto* b = static_cast<const char*>(t.b);
  std::int64_t blocks = (t.k + kGroup - 1) / kGroup;
  for (Asking asking(t.fetch, blocks); blocks > 0; a += R * kWideUnit) {
    const auto* x = reinterpret_cast<const std::int32_t*>(a);
    __m512i dot[R][V];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) dot[r][v] = _mm512_set1_epi32(x[r * kRowSteps + kCorrection]);
    }
    const std::int64_t last = blocks > kWideGroup / kGroup ? blocks - kWideGroup / kGroup : 0;
    for (; blocks > last; blocks--, x += kSteps, b += V * kQ8RowsBlock) {
      if constexpr (kStream) {
#pragma GCC unroll 16
        for (int line = 0; line < V * kQ8RowsBlock; line += 64) {
          _mm_prefetch(b + kAhead + line, _MM_HINT_T0);
        }
      } else {
        asking.some();
      }
      block(x, b, dot);
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const __m512 scale =
          _mm512_set1_ps(*reinterpret_cast<const float*>(a + r * kWideUnit + kWideGroup));
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) {
        sum[r][v] = _mm512_fmadd_ps(scale, sum_of(dot[r][v]), sum[r][v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) _mm512_storeu_ps(c + r * kPanel + v * kLanes, sum[r][v]);
  }
}

template <bool kStream>
void tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[2][kRows] = {
      {multiply<1, 1, kStream>, multiply<2, 1, kStream>, multiply<3, 1, kStream>,
       multiply<4, 1, kStream>, multiply<5, 1, kStream>, multiply<6, 1, kStream>},
      {multiply<1, 2, kStream>, multiply<2, 2, kStream>, multiply<3, 2, kStream>,
       multiply<4, 2, kStream>, multiply<5, 2, kStream>, multiply<6, 2, kStream>}};
  kByRows[t.width / kLanes - 1][t.rows - 1](t);
}

__mmask16 first_lanes(std::int64_t count) {
  return count >= kLanes ? __mmask16(0xffff)
         : count <= 0    ? __mmask16(0)
                         : __mmask16((1 << count) - 1);
}

// One group of one row; what lies beyond the row's end counts as zeros. The largest magnitude is
// found among bit patterns, where NaN is the largest: the group's scale becomes NaN, its numbers 0.
void quantize(const float* x, std::int64_t left, char* q) {
  constexpr int kVectors = kWideGroup / kLanes;
  __m512 v[kVectors];
  __m512i bits = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; i++) {
    v[i] = left >= kWideGroup ? _mm512_loadu_ps(x + 16 * i)
                              : _mm512_maskz_loadu_ps(first_lanes(left - 16 * i), x + 16 * i);
    bits = _mm512_max_epi32(bits, _mm512_castps_si512(_mm512_abs_ps(v[i])));
  }
  const float top =
      _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(bits))));
  const __m512 inverse = _mm512_set1_ps(top > kSmallestGroup ? 127.0f / top : 0.0f);
  const __mmask16 finite = top <= kLargestFloat ? __mmask16(0xffff) : __mmask16(0);
  __m512i sums = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; i++) {
    const __m512i n = _mm512_maskz_cvtps_epi32(finite, _mm512_mul_ps(v[i], inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16 * i), _mm512_cvtepi32_epi8(n));
    sums = _mm512_add_epi32(sums, n);
  }
  *reinterpret_cast<float*>(q + kWideGroup) = top / 127.0f;
  *reinterpret_cast<std::int32_t*>(q + kWideGroup + 4) =
      kSumOrigin - kQ8Offset * _mm512_reduce_add_epi32(sums);
}

void pack_rows(const PackRows& p) {
  char* out = static_cast<char*>(p.out);
  for (std::int64_t k = 0; k < p.k; k += kWideGroup, out += p.rows * kWideUnit) {
    for (int r = 0; r < p.rows; r++) {
      const float* const x = p.x + r * p.x_stride + k;
      for (int i = 0; i < kWideGroup; i += kLanes) {
        _mm_prefetch(reinterpret_cast<const char*>(x + kPackAhead + i), _MM_HINT_T0);
      }
      quantize(x, p.k - k, out + r * kWideUnit);
    }
  }
}

}  // namespace

const GemmKernel kGemmQ8RowsAvx512 = {kRows,       kWideGroup, kWideUnit,        pack_rows,
                                      tile<false>, tile<true>, finish<VecAvx512>};

}  // namespace chiasm::kernels::cpu
