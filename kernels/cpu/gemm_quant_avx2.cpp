// Product of quantized weights and int8 activations by AVX2's 8-bit multiply-add, whose sums of two
// products are 16 bits wide and saturate: the operands are arranged so that they never reach that.
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
constexpr int kSteps = kGroup / 4;

__m256i load(const char* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Signed weights: |w| times x with the sign of w, at most 2 * 128 * 127 in a pair.
struct Q8 {
  static constexpr int kBlock = kQ8Block, kScales = kQ8Scales;
  static constexpr bool kHasMin = false;
  template <int J>
  static __m256i weights(const char* block) {
    return _mm256_xor_si256(load(block + 64 * J), _mm256_set1_epi8(char(kQ8Offset)));
  }
  static __m256i add(__m256i sum, __m256i w, __m256i x) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static __m256i total(__m256i sum) { return sum; }
};

// A whole group fits 16 bits: 8 steps of at most 2 * 15 * 127.
struct Q4 {
  static constexpr int kBlock = kQ4Block, kScales = kQ4Scales;
  static constexpr bool kHasMin = true;
  template <int J>
  static __m256i weights(const char* block) {
    const __m256i pairs = load(block + 64 * (J / 2));
    return _mm256_and_si256(J % 2 == 0 ? pairs : _mm256_srli_epi16(pairs, 4), _mm256_set1_epi8(15));
  }
  static __m256i add(__m256i sum, __m256i w, __m256i x) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
  }
  static __m256i total(__m256i sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }
};

__m256 load_halves(const char* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// Where vector v of a panel's group begins: the halves of a block lie inside each of its steps.
template <class Q>
constexpr std::int64_t begin(int v) {
  return std::int64_t(v / 2) * Q::kBlock + v % 2 * 32;
}

template <class Q, int J, int R, int V>
inline __attribute__((always_inline)) void step(const std::int32_t* x, const char* b,
                                                __m256i (&dot)[R][V]) {
#pragma GCC unroll 4
  for (int v = 0; v < V; v++) {
    const __m256i w = Q::template weights<J>(b + begin<Q>(v));
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      dot[r][v] = Q::add(dot[r][v], w, _mm256_set1_epi32(x[r * kSteps + J]));
    }
  }
}

// One group: sum += (scale of weights * scale of activations) * dot (+ min * their sum). `b` points
// at the weights, `scale` at the float16 numbers of the same vector.
template <class Q, int R, int V>
inline __attribute__((always_inline)) void group(const char* a, const char* b, const char* scale,
                                                 __m256 (&sum)[R][V]) {
  const auto* x = reinterpret_cast<const std::int32_t*>(a);
  const auto* scales = reinterpret_cast<const float*>(a + R * kGroup);
  const auto* sums = scales + R;
  __m256i dot[R][V];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) dot[r][v] = _mm256_setzero_si256();
  }
  step<Q, 0>(x, b, dot);
  step<Q, 1>(x, b, dot);
  step<Q, 2>(x, b, dot);
  step<Q, 3>(x, b, dot);
  step<Q, 4>(x, b, dot);
  step<Q, 5>(x, b, dot);
  step<Q, 6>(x, b, dot);
  step<Q, 7>(x, b, dot);
#pragma GCC unroll 4
  for (int v = 0; v < V; v++) {
    const char* const at = scale + v / 2 * Q::kBlock + v % 2 * 16;
    const __m256 w = load_halves(at);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const __m256 both = _mm256_mul_ps(w, _mm256_broadcast_ss(scales + r));
      sum[r][v] = _mm256_fmadd_ps(both, _mm256_cvtepi32_ps(Q::total(dot[r][v])), sum[r][v]);
    }
    if constexpr (Q::kHasMin) {
      const __m256 min = load_halves(at + kQ4Minima - kQ4Scales);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        sum[r][v] = _mm256_fmadd_ps(min, _mm256_broadcast_ss(sums + r), sum[r][v]);
      }
    }
  }
}

// R rows times V vectors of a panel, beginning at vector `first` (even where V > 1); see Tile.
template <class Q, int R, int V, bool kStream>
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
  const auto* b = static_cast<const char*>(t.b) + first / 2 * Q::kBlock;
  const std::int64_t groups = (t.k + kGroup - 1) / kGroup;
  const std::int64_t b_step = std::int64_t(t.width / kLanes) * Q::kBlock;
  for (std::int64_t g = 0; g < groups; g++, a += R * kQuantUnit, b += b_step) {
    if constexpr (kStream) {
      for (int line = 0; line < (V + 1) / 2 * Q::kBlock; line += 64) {
        _mm_prefetch(b + kAhead + line, _MM_HINT_T0);
      }
    }
    group<Q>(a, b + first % 2 * 32, b + Q::kScales + first % 2 * 16, sum);
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) _mm256_storeu_ps(c + r * kPanel + v * kVec, sum[r][v]);
  }
}

template <class Q, int R, bool kStream>
void multiply_rows(const Tile& t) {
  if constexpr (R == 1) {
    if (t.width == kPanel) return multiply<Q, 1, 4, kStream>(t, 0);
  }
  constexpr int kVectors = R <= 2 ? 2 : 1;
  for (int first = 0; first < t.width / kVec; first += kVectors) {
    multiply<Q, R, kVectors, kStream>(t, first);
  }
}

template <class Q, bool kStream>
void tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[kRows] = {
      multiply_rows<Q, 1, kStream>, multiply_rows<Q, 2, kStream>, multiply_rows<Q, 3, kStream>,
      multiply_rows<Q, 4, kStream>};
  kByRows[t.rows - 1](t);
}

// Sum of 8 numbers.
int total(__m256i v) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

// One group of 32 numbers.
template <class Q>
void quantize(const float* x, char* q, float* scale, char* correction) {
  const Step step = step_of(x, kGroup);
  const __m256i sums = narrow(x, step, q);
  *scale = step.scale;
  if constexpr (Q::kHasMin) {
    *reinterpret_cast<float*>(correction) = *scale * float(total(sums));
  } else {
    *reinterpret_cast<std::int32_t*>(correction) = 0;  // weights are signed here
  }
}

template <class Q>
void pack_rows(const PackRows& p) {
  char* out = static_cast<char*>(p.out);
  for (std::int64_t k = 0; k < p.k; k += kGroup, out += p.rows * kQuantUnit) {
    auto* const scales = reinterpret_cast<float*>(out + p.rows * kGroup);
    char* const corrections = out + p.rows * (kGroup + 4);
    for (int r = 0; r < p.rows; r++) {
      const float* x = p.x + r * p.x_stride + k;
      float rest[kGroup] = {};
      if (p.k - k < kGroup) {
        for (int i = 0; i < p.k - k; i++) rest[i] = x[i];
        x = rest;
      }
      quantize<Q>(x, out + r * kGroup, scales + r, corrections + 4 * r);
    }
  }
}

template <class Q>
constexpr GemmKernel kKernel = {kRows,          kGroup,        kQuantUnit,     pack_rows<Q>,
                                tile<Q, false>, tile<Q, true>, finish<VecAvx2>};

}  // namespace

const GemmKernel kGemmQuantAvx2[2] = {kKernel<Q8>, kKernel<Q4>};

}  // namespace chiasm::kernels::cpu
