// Attention whose scores are integer products: queries and keys are rounded to int8, each with one
// scale for its head (VPDPBUSD), which takes half the instructions of bfloat16 pairs. Values and
// softmax weights are bfloat16, and the rest is as in attention_avx512_bf16.cpp.
//
// A row's numbers are exact sums of integers times its own scale and the key's, so they depend on
// nothing else that is attended.
#include <cstdint>

#include "kernels/cpu/attention_bf16_values_inl.h"
#include "kernels/cpu/attention_parts_inl.h"
#include "kernels/cpu/int_sums_avx512_inl.h"
#include "kernels/cpu/ops.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kMaxUnits = kMaxHeadDim / 4;

/// Units of four dimensions, as whole vectors.
inline int padded_units(const AttentionArgs& a) { return int(a.head_dim + 63) / 64 * 16; }

/// Six rows in int8. VPDPBUSD wants keys from 0 to 255, so they are 128 more than they are, and
/// `begin` takes 128 times the sum of the row's numbers away again.
struct Queries {
  std::int32_t units[kPairsTogether][kMaxUnits];
  std::int32_t begin[kPairsTogether];
  float scale[kPairsTogether];
};

/// 16 dimensions of a row from `at` on; zeros behind the last.
inline __m512 load_dims(const float* row, int at, int dim) {
  return _mm512_maskz_loadu_ps(lanes_of(dim - at), row + at);
}

/// The largest magnitude of a row; not finite where one of its numbers is not, which as a scale
/// makes NaN of every score. Magnitudes are ordered as their bits are, NaN last.
inline float largest_of(const float* row, int dim) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i most = _mm512_setzero_si512();
  for (int at = 0; at < dim; at += 16) {
    const __m512i bits = _mm512_castps_si512(load_dims(row, at, dim));
    most = _mm512_max_epu32(most, _mm512_and_si512(bits, magnitude));
  }
  return __builtin_bit_cast(float, _mm512_reduce_max_epu32(most));
}

/// A row times `factor`, rounded: padded_units(a) units, to `out`. Returns the sum of its numbers.
inline std::int32_t round_row(const float* row, int dim, int units, float factor,
                              std::int32_t flipped, std::int32_t* out) {
  const __m512 times = _mm512_set1_ps(factor);
  __m512i sum = _mm512_setzero_si512();
  for (int u = 0; u < units; u += 4) {
    const __m512i numbers = _mm512_cvtps_epi32(_mm512_mul_ps(load_dims(row, 4 * u, dim), times));
    sum = _mm512_add_epi32(sum, numbers);
    const __m128i bytes = _mm_xor_si128(_mm512_cvtsepi32_epi8(numbers), _mm_set1_epi32(flipped));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + u), bytes);
  }
  return _mm512_reduce_add_epi32(sum);
}

/// Sums as the compiler's own vector of what they are: GCC 12 keeps those that it knows as __m512i
/// in memory beside their registers.
using Sums = std::int32_t __attribute__((vector_size(64)));

/// scores[r][key] of one block: keys as [unit][key], each 128 more than it is.
template <int R>
void score_block(const Queries& q, const float* keys, int units, const float* scales,
                 float* scores) {
  Sums dots[R][4];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) dots[r][j] = Sums{} + (kSumOrigin + q.begin[r]);
  }
  for (int u = 0; u < units; u++) {
    __m512i k[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) k[j] = _mm512_load_si512(keys + u * kKeyBlock + j * 16);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const __m512i factor = _mm512_set1_epi32(q.units[r][u]);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++)
        dots[r][j] = (Sums)_mm512_dpbusd_epi32((__m512i)dots[r][j], k[j], factor);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
    const __m512 own = _mm512_set1_ps(q.scale[r]);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      const __m512 both = _mm512_mul_ps(_mm512_load_ps(scales + j * 16), own);
      _mm512_store_ps(scores + r * kPartKeys + j * 16,
                      _mm512_mul_ps(sum_of((__m512i)dots[r][j]), both));
    }
  }
}

/// A part as many rows want it.
struct PackedPart : PackedValues {
  float* keys = nullptr;  // by blocks: [unit][key], plus 128
  int units = 0;
  alignas(64) float scales[kPartKeys];  // of keys

  PackedPart() = default;
  PackedPart(const AttentionArgs& a, float* keys_at, float* values_at)
      : PackedValues(a, values_at), keys(keys_at), units(cpu::padded_units(a)) {}

  void take(const AttentionArgs& a, int key, KeyRange range, const BlockRows& key_rows,
            const BlockRows& value_rows, const BlockRows& next, float* buffer) {
    const int dim = int(a.head_dim);
    auto* const rows = reinterpret_cast<std::int32_t*>(buffer);
    for (int i = 0; i < kKeyBlock; i++) {
      prefetch_row(value_rows, i, dim);
      const bool seen = i >= range.begin && i < range.end;
      const float* row = static_cast<const float*>(key_rows.data) + i * key_rows.stride;
      const float most = seen ? largest_of(row, dim) : 0;
      // What a key that nobody sees holds is no matter.
      if (seen) round_row(row, dim, units, most > 0 ? 127 / most : 0, kFlip, rows + i * units);
      scales[key + i] = most / 127;
    }
    transpose_keys<V>({buffer, units}, units, keys + key * units);
    pack_values(a, value_rows, range, next, values + key / 2 * padded_dim);
  }
  template <int R>
  void score(const Queries& q, int key, float* scores) const {
    score_block<R>(q, keys + std::int64_t(key) * units, units, scales + key, scores);
  }

 private:
  static constexpr std::int32_t kFlip = std::int32_t(0x80808080u);  // adds 128 to four numbers
};

struct Int8ScoresForm {
  static constexpr int kMaxUnits = cpu::kMaxUnits, kMaxSets = 1;
  static constexpr bool kPaged = false;
  using Queries = cpu::Queries;
  using Packed = PackedPart;
  static int padded_units(const AttentionArgs& a) { return cpu::padded_units(a); }
  static void load_queries(const TilePairs& pairs, int first, int count, Queries& q) {
    const AttentionArgs& a = pairs.a;
    const int dim = int(a.head_dim), units = cpu::padded_units(a);
    for (int r = 0; r < count; r++) {
      const float* row = a.q + pairs.row(first + r) * a.q_stride + pairs.column(first + r);
      const float most = largest_of(row, dim);
      const float factor = most > 0 ? 127 / most : 0;
      // Scores are scaled later, by |scale|.
      q.begin[r] = -128 * round_row(row, dim, units, a.scale < 0 ? -factor : factor, 0, q.units[r]);
      q.scale[r] = most / 127;
    }
  }
};

}  // namespace

void attention_avx512_int8_scores(const AttentionArgs& a, const AttentionTile& t) {
  attend_in_parts<Int8ScoresForm>(a, t);
}

}  // namespace chiasm::kernels::cpu
