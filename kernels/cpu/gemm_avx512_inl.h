#pragma once
/// The AVX-512 matrix product, shared by the files of its variants. Everything lies in an anonymous
/// namespace: nothing compiled with these flags may be kept by the linker for others.
#include <immintrin.h>

#include "kernels/cpu/asking_inl.h"
#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::kernels::cpu {
namespace {

// 12 rows x 2 vectors are 24 chains of sums: enough to hide the latency of a multiply-add on two
// units, and the 2 + 12 loads of a step stay below what the load units deliver.
constexpr int kRows = 12;
constexpr std::int64_t kAhead =
    8192;  // bytes that a stream prefetches ahead; 1 KiB was 30 % slower

constexpr std::int64_t kPackAhead = 256;  // floats of a row that packing asks for ahead

// How a variant reads and multiplies. A load brings kSub sub-steps of V vectors; a sub-step takes
// kInputs inputs of each row, 4 bytes of activations.
struct F32 {
  static constexpr int kInputs = 1, kSub = 1, kBytes = 64;
  using Raw = __m512;
  static Raw load(const char* b) { return _mm512_loadu_ps(b); }
  template <int S>
  static __m512 fma(float a, Raw b, __m512 sum) {
    return _mm512_fmadd_ps(_mm512_set1_ps(a), b, sum);
  }
};
struct F16 {
  static constexpr int kInputs = 1, kSub = 1, kBytes = 32;
  using Raw = __m512;
  static Raw load(const char* b) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)));
  }
  template <int S>
  static __m512 fma(float a, Raw b, __m512 sum) {
    return _mm512_fmadd_ps(_mm512_set1_ps(a), b, sum);
  }
};
// bfloat16 weights widened: a load brings pairs, the even input in the lower halves.
struct Bf16Widened {
  static constexpr int kInputs = 1, kSub = 2, kBytes = 64;
  using Raw = __m512i;
  static Raw load(const char* b) { return _mm512_loadu_si512(b); }
  template <int S>
  static __m512 fma(float a, Raw b, __m512 sum) {
    const __m512i wide = S == 0 ? _mm512_slli_epi32(b, 16)
                                : _mm512_and_si512(b, _mm512_set1_epi32(int(0xffff0000u)));
    return _mm512_fmadd_ps(_mm512_set1_ps(a), _mm512_castsi512_ps(wide), sum);
  }
};

template <class W, int S, int R, int V>
inline __attribute__((always_inline)) void sub_step(const float* a, const typename W::Raw* b,
                                                    __m512 (&sum)[R][V]) {
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) sum[r][v] = W::template fma<S>(a[r], b[v], sum[r][v]);
  }
}

// One step: R rows, V vectors, all sub-steps of a load.
template <class W, int R, int V, bool kStream>
inline __attribute__((always_inline)) void step(const float* a, const char* b,
                                                __m512 (&sum)[R][V]) {
  typename W::Raw raw[V];
#pragma GCC unroll 2
  for (int v = 0; v < V; v++) raw[v] = W::load(b + v * W::kBytes);
  if constexpr (kStream) {
    for (int line = 0; line < W::kBytes * V; line += 64) {
      _mm_prefetch(b + kAhead + line, _MM_HINT_T0);
    }
  }
  sub_step<W, 0>(a, raw, sum);
  if constexpr (W::kSub == 2) sub_step<W, 1>(a + R, raw, sum);
}

// The innermost loop: R rows, V vectors, see Tile.
template <class W, int R, int V, bool kStream>
void multiply(const Tile& t) {
  __m512 sum[R][V];
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      sum[r][v] = t.resume ? _mm512_loadu_ps(t.c + r * kPanel + v * kLanes) : _mm512_setzero_ps();
    }
  }
  const auto* a = static_cast<const float*>(t.a);
  const auto* b = static_cast<const char*>(t.b);
  constexpr int kStepInputs = W::kInputs * W::kSub;
  constexpr int kRowFloats = R * W::kSub, kBytes = W::kBytes * V;
  std::int64_t steps =
      W::kInputs == 2 ? (t.k + 1) / 2 : t.k / kStepInputs;  // pairs are padded with zeros
  if constexpr (!kStream) {
    for (Asking asking(t.fetch, steps / 4); steps >= 4; steps -= 4) {
      asking.some();
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        step<W, R, V, false>(a + i * kRowFloats, b + i * kBytes, sum);
      }
      a += 4 * kRowFloats;
      b += 4 * kBytes;
    }
  }
#pragma GCC unroll 4
  for (; steps > 0; steps--, a += kRowFloats, b += kBytes) step<W, R, V, kStream>(a, b, sum);
  if constexpr (W::kSub == 2) {
    if (t.k % 2 != 0) {  // the last input has no partner
      typename W::Raw raw[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) raw[v] = W::load(b + v * W::kBytes);
      sub_step<W, 0>(a, raw, sum);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) _mm512_storeu_ps(t.c + r * kPanel + v * kLanes, sum[r][v]);
  }
}

template <class W, bool kStream>
void tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[2][kRows] = {
      {multiply<W, 1, 1, kStream>, multiply<W, 2, 1, kStream>, multiply<W, 3, 1, kStream>,
       multiply<W, 4, 1, kStream>, multiply<W, 5, 1, kStream>, multiply<W, 6, 1, kStream>,
       multiply<W, 7, 1, kStream>, multiply<W, 8, 1, kStream>, multiply<W, 9, 1, kStream>,
       multiply<W, 10, 1, kStream>, multiply<W, 11, 1, kStream>, multiply<W, 12, 1, kStream>},
      {multiply<W, 1, 2, kStream>, multiply<W, 2, 2, kStream>, multiply<W, 3, 2, kStream>,
       multiply<W, 4, 2, kStream>, multiply<W, 5, 2, kStream>, multiply<W, 6, 2, kStream>,
       multiply<W, 7, 2, kStream>, multiply<W, 8, 2, kStream>, multiply<W, 9, 2, kStream>,
       multiply<W, 10, 2, kStream>, multiply<W, 11, 2, kStream>, multiply<W, 12, 2, kStream>}};
  kByRows[t.width / kLanes - 1][t.rows - 1](t);
}

inline __mmask16 first_lanes(std::int64_t count) {
  return count >= kLanes ? __mmask16(0xffff)
         : count <= 0    ? __mmask16(0)
                         : __mmask16((1 << count) - 1);
}

// Transposes 16 rows of 16 dwords in registers.
inline __attribute__((always_inline)) void transpose(__m512i (&m)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(m[i], m[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(m[i], m[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    m[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    m[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    m[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    m[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {  // columns i, i + 4, i + 8, i + 12 of rows 0-7 and of rows 8-15
    const __m512i low = _mm512_shuffle_i32x4(m[i], m[i + 4], 0x88);
    const __m512i high = _mm512_shuffle_i32x4(m[i], m[i + 4], 0xdd);
    const __m512i low8 = _mm512_shuffle_i32x4(m[i + 8], m[i + 12], 0x88);
    const __m512i high8 = _mm512_shuffle_i32x4(m[i + 8], m[i + 12], 0xdd);
    t[i] = _mm512_shuffle_i32x4(low, low8, 0x88);
    t[i + 8] = _mm512_shuffle_i32x4(low, low8, 0xdd);
    t[i + 4] = _mm512_shuffle_i32x4(high, high8, 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(high, high8, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) m[i] = t[i];
}

// Activations from [rows][k] to [k][rows] in units of 4 bytes. `load` brings up to 16 units of one
// row. Each vector stored holds the rows of one k and garbage behind, which the next one covers.
template <int kInputs, class Load>
inline __attribute__((always_inline)) void pack_units(const PackRows& p, const Load& load) {
  const std::int64_t units = (p.k + kInputs - 1) / kInputs;
  auto* out = static_cast<std::int32_t*>(p.out);
  if (p.rows == 1) {  // already in order
    for (std::int64_t u = 0; u < units; u += 16) {
      _mm512_storeu_si512(out + u, load(p.x + u * kInputs, p.k - u * kInputs));
    }
    return;
  }
  for (std::int64_t u = 0; u < units; u += 16) {
    __m512i m[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; r++) {
      m[r] = _mm512_setzero_si512();
      if (r < kRows && r < p.rows) {
        const float* const from = p.x + r * p.x_stride + u * kInputs;
        m[r] = load(from, p.k - u * kInputs);
#pragma GCC unroll 2
        for (int line = 0; line < kInputs; line++) {
          _mm_prefetch(reinterpret_cast<const char*>(from + kPackAhead + 16 * line), _MM_HINT_T0);
        }
      }
    }
    transpose(m);
    const int count = units - u < 16 ? int(units - u) : 16;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      if (i < count) _mm512_storeu_si512(out + (u + i) * p.rows, m[i]);
    }
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
