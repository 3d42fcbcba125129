// Product of 8-bit weights with one scale for each output and int8 activations in groups of 128, by
// AVX2's 8-bit multiply-add (see gemm_quant_avx2.cpp on its saturation).
#include <immintrin.h>

#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/narrow_avx2_inl.h"
#include "kernels/cpu/quant_layout.h"
#include "kernels/cpu/simd_avx2.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kRows = 4;
constexpr int kVec = 8;                // outputs of a vector
constexpr std::int64_t kAhead = 8192;  // bytes that a stream prefetches ahead
constexpr int kSteps = kGroup / 4;     // sums of 4 products in a block of weights
constexpr int kRowSteps = kWideGroup / 4;

__m256i load(const char* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Where vector v of a panel's block begins: the halves of a block lie inside each of its steps.
constexpr std::int64_t begin(int v) { return std::int64_t(v / 2) * kQ8RowsBlock + v % 2 * 32; }

// One block of 32 inputs: |w| times x with the sign of w, at most 2 * 128 * 127 in a pair.
template <int R, int V>
inline __attribute__((always_inline)) void block(const std::int32_t* x, const char* b,
                                                 __m256i (&dot)[R][V]) {
  const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int j = 0; j < kSteps; j++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      const __m256i w =
          _mm256_xor_si256(load(b + begin(v) + 64 * j), _mm256_set1_epi8(char(kQ8Offset)));
      const __m256i magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        const __m256i four = _mm256_set1_epi32(x[r * kRowSteps + j]);
        const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(four, w));
        dot[r][v] = _mm256_add_epi32(dot[r][v], _mm256_madd_epi16(pairs, ones));
      }
    }
  }
}

// R rows times V vectors of a panel, beginning at vector `first` (even where V > 1); see Tile.
template <int R, int V, bool kStream>
void multiply(const Tile& t, int first) {
  float* const c = t.c + first * kVec;
  __m256 sum[R][V];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      sum[r][v] = t.resume ? _mm256_loadu_ps(c + r * kPanel + v * kVec) : _mm256_setzero_ps();
    }
  }
  const auto* a = static_cast<const char*>(t.a);
  const auto* b = static_cast<const char*>(t.b) + begin(first);
  const std::int64_t b_step = std::int64_t(t.width / kLanes) * kQ8RowsBlock;
  for (std::int64_t blocks = (t.k + kGroup - 1) / kGroup; blocks > 0; a += R * kWideUnit) {
    const auto* x = reinterpret_cast<const std::int32_t*>(a);
    const auto* scales = reinterpret_cast<const float*>(a + R * kWideGroup);
    __m256i dot[R][V];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) dot[r][v] = _mm256_setzero_si256();
    }
    const std::int64_t last = blocks > kWideGroup / kGroup ? blocks - kWideGroup / kGroup : 0;
    for (; blocks > last; blocks--, x += kSteps, b += b_step) {
      if constexpr (kStream) {
        for (int line = 0; line < (V + 1) / 2 * kQ8RowsBlock; line += 64) {
          _mm_prefetch(b + kAhead + line, _MM_HINT_T0);
        }
      }
      block(x, b, dot);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) {
        sum[r][v] = _mm256_fmadd_ps(_mm256_broadcast_ss(scales + r), _mm256_cvtepi32_ps(dot[r][v]),
                                    sum[r][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) _mm256_storeu_ps(c + r * kPanel + v * kVec, sum[r][v]);
  }
}

template <int R, bool kStream>
void multiply_rows(const Tile& t) {
  if constexpr (R == 1) {
    if (t.width == kPanel) return multiply<1, 4, kStream>(t, 0);
  }
  constexpr int kVectors = R <= 2 ? 2 : 1;
  for (int first = 0; first < t.width / kVec; first += kVectors) {
    multiply<R, kVectors, kStream>(t, first);
  }
}

template <bool kStream>
void tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[kRows] = {multiply_rows<1, kStream>, multiply_rows<2, kStream>,
                                              multiply_rows<3, kStream>, multiply_rows<4, kStream>};
  kByRows[t.rows - 1](t);
}

// Weights are signed here: the corrections of quant_layout.h stay unused.
void pack_rows(const PackRows& p) {
  char* out = static_cast<char*>(p.out);
  for (std::int64_t k = 0; k < p.k; k += kWideGroup, out += p.rows * kWideUnit) {
    auto* const scales = reinterpret_cast<float*>(out + p.rows * kWideGroup);
    for (int r = 0; r < p.rows; r++) {
      const float* x = p.x + r * p.x_stride + k;
      float rest[kWideGroup] = {};
      if (p.k - k < kWideGroup) {
        for (int i = 0; i < p.k - k; i++) rest[i] = x[i];
        x = rest;
      }
      const Step step = step_of(x, kWideGroup);
      char* const q = out + r * kWideGroup;
      for (int i = 0; i < kWideGroup; i += kGroup) narrow(x + i, step, q + i);
      scales[r] = step.scale;
    }
  }
}

}  // namespace

const GemmKernel kGemmQ8RowsAvx2 = {kRows,       kWideGroup, kWideUnit,      pack_rows,
                                    tile<false>, tile<true>, finish<VecAvx2>};

}  // namespace chiasm::kernels::cpu
