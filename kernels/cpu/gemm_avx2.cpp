// Matrix product by AVX2 and FMA with float32 arithmetic.
#include <immintrin.h>

#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd_avx2.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kRows = 6;     // x 16 outputs: 12 of 16 registers hold sums
constexpr int kFewRows = 3;  // x 32 outputs
constexpr int kVec = 8;
constexpr std::int64_t kAhead = 8192;  // bytes that a stream prefetches ahead

// How a format is read; `S` is the input inside a pair.
struct F32 {
  static constexpr int kSub = 1, kBytes = 32;
  using Raw = __m256;
  static Raw load(const char* b) { return _mm256_loadu_ps(reinterpret_cast<const float*>(b)); }
  template <int S>
  static __m256 widen(Raw b) {
    return b;
  }
};
struct F16 {
  static constexpr int kSub = 1, kBytes = 16;
  using Raw = __m256;
  static Raw load(const char* b) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b)));
  }
  template <int S>
  static __m256 widen(Raw b) {
    return b;
  }
};
struct Bf16 {
  static constexpr int kSub = 2, kBytes = 32;
  using Raw = __m256i;
  static Raw load(const char* b) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)); }
  template <int S>
  static __m256 widen(Raw b) {
    // Two shifts and not a mask, which would take a register from the sums.
    if constexpr (S == 1) b = _mm256_srli_epi32(b, 16);
    return _mm256_castsi256_ps(_mm256_slli_epi32(b, 16));
  }
};

template <class W, int S, int R, int V>
inline __attribute__((always_inline)) void sub_step(const float* a, const char* b,
                                                    __m256 (&sum)[R][V]) {
  __m256 wide[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; v++) wide[v] = W::template widen<S>(W::load(b + v * W::kBytes));
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
    const __m256 x = _mm256_broadcast_ss(a + r);
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sum[r][v] = _mm256_fmadd_ps(x, wide[v], sum[r][v]);
  }
}

// R rows times V vectors out of the `row_vectors` of a panel, beginning at vector `first`.
template <class W, int R, int V, bool kStream>
void multiply(const Tile& t, int first) {
  float* const c = t.c + first * kVec;
  __m256 sum[R][V];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      sum[r][v] = t.resume ? _mm256_loadu_ps(c + r * kPanel + v * kVec) : _mm256_setzero_ps();
    }
  }
  const auto* a = static_cast<const float*>(t.a);
  const std::int64_t step_bytes = std::int64_t(t.width / kVec) * W::kBytes;
  const char* b = static_cast<const char*>(t.b) + first * W::kBytes;
  const std::int64_t steps = t.k / W::kSub;
#pragma GCC unroll 2
  for (std::int64_t i = 0; i < steps; i++, a += R * W::kSub, b += step_bytes) {
    if constexpr (kStream) {
#pragma GCC unroll 4
      for (int line = 0; line < W::kBytes * V; line += 64) {
        _mm_prefetch(b + kAhead + line, _MM_HINT_T0);
      }
    }
    sub_step<W, 0>(a, b, sum);
    if constexpr (W::kSub == 2) {
      // Hides that these are the same weights: kept from one half to the other they would push sums
      // out of the registers.
      const char* again = b;
      asm("" : "+r"(again));
      sub_step<W, 1>(a + R, again, sum);
    }
  }
  if constexpr (W::kSub == 2) {
    if (t.k % 2 != 0) sub_step<W, 0>(a, b, sum);  // the last input has no partner
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) _mm256_storeu_ps(c + r * kPanel + v * kVec, sum[r][v]);
  }
}

template <class W, int R, bool kStream>
void multiply_rows(const Tile& t) {
  if constexpr (R <= kFewRows) {
    if (t.width == kPanel) return multiply<W, R, 4, kStream>(t, 0);
  }
  for (int first = 0; first < t.width / kVec; first += 2) multiply<W, R, 2, kStream>(t, first);
}

template <class W, bool kStream>
void tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[kRows] = {
      multiply_rows<W, 1, kStream>, multiply_rows<W, 2, kStream>, multiply_rows<W, 3, kStream>,
      multiply_rows<W, 4, kStream>, multiply_rows<W, 5, kStream>, multiply_rows<W, 6, kStream>};
  kByRows[t.rows - 1](t);
}

// Four rows of four floats become four columns.
void transpose_4x4(const float* x, std::int64_t stride, float* out, int rows) {
  __m128 a = _mm_loadu_ps(x), b = _mm_loadu_ps(x + stride);
  __m128 c = _mm_loadu_ps(x + 2 * stride), d = _mm_loadu_ps(x + 3 * stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(out, a);
  _mm_storeu_ps(out + rows, b);
  _mm_storeu_ps(out + 2 * rows, c);
  _mm_storeu_ps(out + 3 * rows, d);
}

void pack_rows(const PackRows& p) {
  auto* const out = static_cast<float*>(p.out);
  int r = 0;
  for (; r + 4 <= p.rows; r += 4) {
    const float* x = p.x + r * p.x_stride;
    std::int64_t k = 0;
    for (; k + 4 <= p.k; k += 4) transpose_4x4(x + k, p.x_stride, out + k * p.rows + r, p.rows);
    for (; k < p.k; k++) {
      for (int i = 0; i < 4; i++) out[k * p.rows + r + i] = x[i * p.x_stride + k];
    }
  }
  for (; r < p.rows; r++) {
    for (std::int64_t k = 0; k < p.k; k++) out[k * p.rows + r] = p.x[r * p.x_stride + k];
  }
}

template <class W>
constexpr GemmKernel kKernel = {kRows,          1, 4, pack_rows, tile<W, false>, tile<W, true>,
                                finish<VecAvx2>};

}  // namespace

const GemmKernel kGemmAvx2[3] = {kKernel<F32>, kKernel<Bf16>, kKernel<F16>};

}  // namespace chiasm::kernels::cpu
