// Product of quantized weights and int8 activations by VPDPBUSD. Integer sums inside a group are
// exact, so only the order of groups matters, and that is the same for every number of rows.
#include <immintrin.h>

#include "kernels/cpu/asking_inl.h"
#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/int_sums_avx512_inl.h"
#include "kernels/cpu/quant_layout.h"
#include "kernels/cpu/simd_avx512.h"

namespace chiasm::kernels::cpu {

namespace {

// 6 rows x 2 vectors: 12 chains of integer and 12 of float sums. 12 rows x 1 vector broadcast twice
// as many activations, and were held up by the load units; 12 rows x 2 vectors, with their float
// sums in memory, were up to a third slower. q8 is fastest with 5 rows.
constexpr int kMostRows = 6;
constexpr std::int64_t kAhead = 8192;  // bytes that a stream prefetches ahead
constexpr int kSteps = kGroup / 4;     // dot products of 4 in a group

struct Q8 {
  static constexpr int kBlock = kQ8Block, kScales = kQ8Scales;
  static constexpr int kRows = 5;
  static constexpr bool kHasMin = false;
  // Unsigned weights are 128 too large; the correction, from kSumOrigin on, starts the sum.
  static __m512i start(const char* correction) {
    return _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(correction));
  }
  template <int J>
  static __m512i load(const char* block) {
    return _mm512_loadu_si512(block + 64 * J);
  }
};

struct Q4 {
  static constexpr int kBlock = kQ4Block, kScales = kQ4Scales;
  static constexpr int kRows = 6;
  static constexpr bool kHasMin = true;
  static __m512i start(const char*) { return _mm512_set1_epi32(kSumOrigin); }
  template <int J>
  static __m512i load(const char* block) {
    const __m512i pairs = _mm512_loadu_si512(block + 64 * (J / 2));
    return _mm512_and_si512(J % 2 == 0 ? pairs : _mm512_srli_epi16(pairs, 4), _mm512_set1_epi8(15));
  }
};

__m512 load_halves(const char* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

template <class Q, int J, int R, int V>
inline __attribute__((always_inline)) void step(const std::int32_t* x, const char* b,
                                                __m512i (&dot)[R][V]) {
  __m512i w[V];
#pragma GCC unroll 2
  for (int v = 0; v < V; v++) w[v] = Q::template load<J>(b + v * Q::kBlock);
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      dot[r][v] = _mm512_dpbusd_epi32(dot[r][v], w[v], _mm512_set1_epi32(x[r * kSteps + J]));
    }
  }
}

// One group: sum += (scale of weights * scale of activations) * dot (+ min * their sum).
template <class Q, int R, int V>
inline __attribute__((always_inline)) void group(const char* a, const char* b,
                                                 __m512 (&sum)[R][V]) {
  const auto* x = reinterpret_cast<const std::int32_t*>(a);
  const auto* scales = reinterpret_cast<const float*>(a + R * kGroup);
  const char* corrections = a + R * (kGroup + 4);
  __m512i dot[R][V];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) dot[r][v] = Q::start(corrections + 4 * r);
  }
  step<Q, 0>(x, b, dot);
  step<Q, 1>(x, b, dot);
  step<Q, 2>(x, b, dot);
  step<Q, 3>(x, b, dot);
  step<Q, 4>(x, b, dot);
  step<Q, 5>(x, b, dot);
  step<Q, 6>(x, b, dot);
  step<Q, 7>(x, b, dot);
#pragma GCC unroll 2
  for (int v = 0; v < V; v++) {
    const char* const block = b + v * Q::kBlock;
    const __m512 scale = load_halves(block + Q::kScales);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(scales[r]));
      sum[r][v] = _mm512_fmadd_ps(both, sum_of(dot[r][v]), sum[r][v]);
    }
    if constexpr (Q::kHasMin) {
      const __m512 min = load_halves(block + kQ4Minima);
      const auto* sums = reinterpret_cast<const float*>(corrections);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        sum[r][v] = _mm512_fmadd_ps(min, _mm512_set1_ps(sums[r]), sum[r][v]);
      }
    }
  }
}

// R rows times the V vectors of a panel; see Tile.
template <class Q, int R, int V, bool kStream>
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
  const std::int64_t groups = (t.k + kGroup - 1) / kGroup;
  Asking asking(t.fetch, groups);
  for (std::int64_t g = 0; g < groups; g++, a += R * kQuantUnit, b += V * Q::kBlock) {
    if constexpr (kStream) {
#pragma GCC unroll 18
      for (int line = 0; line < V * Q::kBlock; line += 64) {
        _mm_prefetch(b + kAhead + line, _MM_HINT_T0);
      }
    } else {
      asking.some();
    }
    group<Q>(a, b, sum);
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) _mm512_storeu_ps(c + r * kPanel + v * kLanes, sum[r][v]);
  }
}

template <class Q, bool kStream>
void tile(const Tile& t) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply kByRows[2][kMostRows] = {
      {multiply<Q, 1, 1, kStream>, multiply<Q, 2, 1, kStream>, multiply<Q, 3, 1, kStream>,
       multiply<Q, 4, 1, kStream>, multiply<Q, 5, 1, kStream>, multiply<Q, 6, 1, kStream>},
      {multiply<Q, 1, 2, kStream>, multiply<Q, 2, 2, kStream>, multiply<Q, 3, 2, kStream>,
       multiply<Q, 4, 2, kStream>, multiply<Q, 5, 2, kStream>, multiply<Q, 6, 2, kStream>}};
  kByRows[t.width / kLanes - 1][t.rows - 1](t);
}

__mmask16 first_lanes(std::int64_t count) {
  return count >= kLanes ? __mmask16(0xffff)
         : count <= 0    ? __mmask16(0)
                         : __mmask16((1 << count) - 1);
}

// Four groups of one row, quantized side by side.
constexpr int kTogether = 4;

// Lane i of each quarter: the largest lane of m[i].
__m512i largest_lanes(const __m512i (&m)[kTogether]) {
  const __m512i a =
      _mm512_max_epi32(_mm512_unpacklo_epi32(m[0], m[1]), _mm512_unpackhi_epi32(m[0], m[1]));
  const __m512i b =
      _mm512_max_epi32(_mm512_unpacklo_epi32(m[2], m[3]), _mm512_unpackhi_epi32(m[2], m[3]));
  __m512i all = _mm512_max_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  all = _mm512_max_epi32(all, _mm512_shuffle_i32x4(all, all, 0x4e));
  return _mm512_max_epi32(all, _mm512_shuffle_i32x4(all, all, 0xb1));
}

// Lane i of each quarter: the sum of all lanes of m[i].
__m512i added_lanes(const __m512i (&m)[kTogether]) {
  const __m512i a =
      _mm512_add_epi32(_mm512_unpacklo_epi32(m[0], m[1]), _mm512_unpackhi_epi32(m[0], m[1]));
  const __m512i b =
      _mm512_add_epi32(_mm512_unpacklo_epi32(m[2], m[3]), _mm512_unpackhi_epi32(m[2], m[3]));
  __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  all = _mm512_add_epi32(all, _mm512_shuffle_i32x4(all, all, 0x4e));
  return _mm512_add_epi32(all, _mm512_shuffle_i32x4(all, all, 0xb1));
}

// Lane I of each quarter in all its lanes.
template <int I>
__m512 spread(__m512 quarters) {
  return _mm512_permute_ps(quarters, I * 0x55);
}

// What quantizing leaves of four groups.
struct Groups {
  alignas(64) char q[kTogether][kGroup];
  alignas(16) float scale[kTogether];
  alignas(16) float correction[kTogether];  // bits of int32 for q8
};

// The low bytes of two groups' integers, one group after the other.
__m512i join_groups(__m512i low0, __m512i high0, __m512i low1, __m512i high1) {
  // Packing works inside quarters: their dwords are low0, high0, low1, high1.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i bytes =
      _mm512_packs_epi16(_mm512_packs_epi32(low0, high0), _mm512_packs_epi32(low1, high1));
  return _mm512_permutexvar_epi32(order, bytes);
}

// What lies beyond the row's end (kWhole: nothing) counts as zeros. The largest magnitude is found
// among bit patterns, where NaN is the largest: the group's scale becomes NaN, whatever its
// numbers.
template <class Q, bool kWhole>
inline __attribute__((always_inline)) void quantize(const float* x, std::int64_t left, Groups& g) {
  __m512 v[kTogether][2];
  __m512i n[kTogether][2], top[kTogether], sum[kTogether];
#pragma GCC unroll 4
  for (int i = 0; i < kTogether; i++) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
      const std::int64_t at = i * kGroup + h * kLanes;
      v[i][h] =
          kWhole ? _mm512_loadu_ps(x + at) : _mm512_maskz_loadu_ps(first_lanes(left - at), x + at);
    }
    top[i] = _mm512_max_epi32(_mm512_castps_si512(_mm512_abs_ps(v[i][0])),
                              _mm512_castps_si512(_mm512_abs_ps(v[i][1])));
  }
  const __m512 largest = _mm512_castsi512_ps(largest_lanes(top));
  const __m512 steps = _mm512_set1_ps(127.0f);
  const __mmask16 counts = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(kSmallestGroup), _CMP_GT_OQ);
  const __m512 inverse = _mm512_maskz_div_ps(counts, steps, largest);
  const __m512 inverses[kTogether] = {spread<0>(inverse), spread<1>(inverse), spread<2>(inverse),
                                      spread<3>(inverse)};
#pragma GCC unroll 4
  for (int i = 0; i < kTogether; i++) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) n[i][h] = _mm512_cvtps_epi32(_mm512_mul_ps(v[i][h], inverses[i]));
    sum[i] = _mm512_add_epi32(n[i][0], n[i][1]);
  }
  _mm512_store_si512(g.q[0], join_groups(n[0][0], n[0][1], n[1][0], n[1][1]));
  _mm512_store_si512(g.q[2], join_groups(n[2][0], n[2][1], n[3][0], n[3][1]));
  const __m512 scale = _mm512_div_ps(largest, steps);
  const __m512i sums = added_lanes(sum);
  _mm_store_ps(g.scale, _mm512_castps512_ps128(scale));
  if constexpr (Q::kHasMin) {
    const __m512 product = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sums));
    _mm_store_ps(g.correction, _mm512_castps512_ps128(product));
  } else {
    static_assert(kQ8Offset == 1 << 7);
    const __m512i product =
        _mm512_sub_epi32(_mm512_set1_epi32(kSumOrigin), _mm512_slli_epi32(sums, 7));
    _mm_store_si128(reinterpret_cast<__m128i*>(g.correction), _mm512_castsi512_si128(product));
  }
}

template <class Q>
void pack_rows(const PackRows& p) {
  const std::int64_t unit = std::int64_t(p.rows) * kQuantUnit;
  for (int r = 0; r < p.rows; r++) {
    char* out = static_cast<char*>(p.out);
    const float* x = p.x + r * p.x_stride;
    for (std::int64_t left = p.k; left > 0; left -= kTogether * kGroup, x += kTogether * kGroup) {
      Groups g;
      if (left >= kTogether * kGroup) {
        quantize<Q, true>(x, left, g);
      } else {
        quantize<Q, false>(x, left, g);
      }
      for (int i = 0; i < kTogether && i * kGroup < left; i++, out += unit) {
        const __m256i q = _mm256_load_si256(reinterpret_cast<const __m256i*>(g.q[i]));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + r * kGroup), q);
        auto* const numbers = reinterpret_cast<float*>(out + p.rows * kGroup);
        numbers[r] = g.scale[i];
        numbers[p.rows + r] = g.correction[i];
      }
    }
  }
}

template <class Q>
constexpr GemmKernel kKernel = {Q::kRows,       kGroup,        kQuantUnit,       pack_rows<Q>,
                                tile<Q, false>, tile<Q, true>, finish<VecAvx512>};

}  // namespace

const GemmKernel kGemmQuantAvx512[2] = {kKernel<Q8>, kKernel<Q4>};

}  // namespace chiasm::kernels::cpu
