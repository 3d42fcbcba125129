// Attention whose products are of bfloat16 pairs, by VDPBF16PS: queries, keys, values and softmax
// weights are narrowed, sums and softmax stay float32.
//
// One row's arithmetic is fixed as in the float32 kernel: a score is one chain over pairs of
// dimensions, an output one chain over pairs of keys, and of a pair of which a row sees one key the
// other takes part as zero times zero.
#include <cstdint>

#include "kernels/cpu/attention_bf16_values_inl.h"
#include "kernels/cpu/attention_parts_inl.h"
#include "kernels/cpu/ops.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kMaxUnits = kMaxHeadDim / 2;

/// Units of a row that hold dimensions, and the same as whole vectors.
inline int units_of(const AttentionArgs& a) { return int(a.head_dim + 1) / 2; }
inline int padded_units(const AttentionArgs& a) { return int(a.head_dim + 31) / 32 * 16; }

struct Queries {
  float units[kPairsTogether * kMaxUnits];  // [pair][unit]
};

/// One vector of units from dimension `at` of a row on; zeros behind the last.
inline __m512 load_units(const BlockRows& rows, int key, int at, int dim) {
  if (rows.format == RowFormat::bf16) {
    const auto* from = static_cast<const std::uint16_t*>(rows.data) + key * rows.stride + at;
    const int left = dim - at;
    const __mmask32 mask = left >= 32 ? ~__mmask32(0) : (__mmask32(1) << left) - 1;
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, from));
  }
  const float* from = static_cast<const float*>(rows.data) + key * rows.stride + at;
  return narrow(_mm512_maskz_loadu_ps(lanes_of(dim - at), from),
                _mm512_maskz_loadu_ps(lanes_of(dim - at - 16), from + 16));
}

/// Keys of a block as [unit][key]. Those that nobody sees are zeros, or what a page holds there.
void pack_keys(const AttentionArgs& a, const BlockRows& rows, KeyRange range,
               const BlockRows& wanted, float* buffer, float* out) {
  const int dim = int(a.head_dim), units = padded_units(a);
  PaddedRows from{buffer, units};
  if (rows.format == RowFormat::bf16 && dim % 32 == 0) {
    from = {static_cast<const float*>(rows.data), units};
  } else {
    for (int key = 0; key < kKeyBlock; key++) {
      const bool seen = key >= range.begin && key < range.end;
      prefetch_row(wanted, key, dim);
      for (int u = 0; u < units; u += V::kLanes) {
        const __m512 x = seen ? load_units(rows, key, 2 * u, dim) : _mm512_setzero_ps();
        _mm512_store_ps(buffer + key * units + u, x);
      }
    }
  }
  transpose_keys<V>(from, units, out);
}

/// scores[r][key] = sum over units of q[r][unit] * keys[unit][key], one block.
template <int R>
void score_block(const float* q, const float* keys, int units, float* scores) {
  __m512 sums[R][4];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) sums[r][j] = _mm512_setzero_ps();
  }
  for (int u = 0; u < units; u++) {
    __m512 k[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) k[j] = _mm512_load_ps(keys + u * kKeyBlock + j * 16);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const __m512 factor = _mm512_set1_ps(q[r * kMaxUnits + u]);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) sums[r][j] = add_product(sums[r][j], factor, k[j]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) _mm512_store_ps(scores + r * kPartKeys + j * 16, sums[r][j]);
  }
}

/// The same, bit for bit, from keys not yet transposed, [key][units]; units % 16 == 0. Meanwhile
/// asks for the block's values and the next block's keys, of the same size, which come from memory.
template <int R>
void score_rows(const float* q, const float* keys, int units, const void* values, const void* next,
                float* scores) {
  constexpr int kVectors = R <= 3 ? 4 : 2;  // what the registers hold beside 16 keys
  for (int key = 0; key < kKeyBlock; key += kVectors * 16) {
    __m512 sums[R][kVectors];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) sums[r][j] = _mm512_setzero_ps();
    }
    for (int u = 0; u < units; u += 16) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) {
        const int at = ((key + j * 16) * units + u * 16) * int(sizeof(float));
        fetch(static_cast<const char*>(values) + at, 16);
        fetch(static_cast<const char*>(next) + at, 16);
        V k[16];
        load_transposed(keys + (key + j * 16) * units + u, units, k);
#pragma GCC unroll 16
        for (int c = 0; c < 16; c++) {
#pragma GCC unroll 6
          for (int r = 0; r < R; r++) {
            sums[r][j] = add_product(sums[r][j], _mm512_set1_ps(q[r * kMaxUnits + u + c]), k[c].v);
          }
        }
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) {
        _mm512_store_ps(scores + r * kPartKeys + key + j * 16, sums[r][j]);
      }
    }
  }
}

/// A part as many rows want it.
struct PackedPart : PackedValues {
  float* keys = nullptr;  // by blocks: [unit][key]
  int units = 0, padded_units = 0;

  PackedPart() = default;
  PackedPart(const AttentionArgs& a, float* keys_at, float* values_at)
      : PackedValues(a, values_at),
        keys(keys_at),
        units(units_of(a)),
        padded_units(cpu::padded_units(a)) {}

  void take(const AttentionArgs& a, int key, KeyRange range, const BlockRows& key_rows,
            const BlockRows& value_rows, const BlockRows& next, float* buffer) const {
    pack_keys(a, key_rows, range, value_rows, buffer, keys + key * padded_units);
    pack_values(a, value_rows, range, next, values + key / 2 * padded_dim);
  }
  template <int R>
  void score(const Queries& q, int key, float* scores) const {
    score_block<R>(q.units, keys + std::int64_t(key) * padded_units, units, scores);
  }
};

/// A part where it lies: for so few rows that writing it packed would cost more than using it.
struct PagedPart : NarrowWeights {
  const float* keys[kPartKeys / kKeyBlock + 1];        // by blocks: [key][unit]; one more, to fetch
  const std::uint16_t* values[kPartKeys / kKeyBlock];  // by blocks: [key][dim]
  int dim;

  static bool fits(const AttentionArgs& a) {
    return a.paged && a.format == RowFormat::bf16 && a.head_dim % 32 == 0;
  }
  PagedPart(const AttentionArgs& a, const AttentionTile& t, std::int64_t part, KeyRange seen)
      : dim(int(a.head_dim)) {
    const int begin = seen.begin / kKeyBlock, end = (seen.end - 1) / kKeyBlock + 1;
    for (int i = begin; i < end; i++) {
      const std::int64_t block = part * (kPartKeys / kKeyBlock) + i;
      keys[i] = static_cast<const float*>(block_rows(a, t, a.k, a.k_stride, block).data);
      values[i] = static_cast<const std::uint16_t*>(block_rows(a, t, a.v, a.v_stride, block).data);
    }
    keys[end] = keys[end - 1];  // nothing comes behind it: what is there already
    fetch(keys[begin], kKeyBlock * dim / 32);
  }

  template <int R>
  void score(const Queries& q, int key, float* scores) const {
    const int block = key / kKeyBlock;
    score_rows<R>(q.units, keys[block], dim / 2, values[block], keys[block + 1], scores);
  }
  const std::uint16_t* first_of(int pair) const {
    constexpr int kBlockPairs = kKeyBlock / 2;
    return values[pair / kBlockPairs] + std::int64_t(pair % kBlockPairs) * 2 * dim;
  }
  void load_values(int pair, int at, __m512 (&v)[1]) const {
    const std::uint16_t* from = first_of(pair) + at;
    v[0] = side_by_side(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + dim)));
  }
  void load_values(int pair, int at, __m512 (&v)[4]) const {
    const std::uint16_t* from = first_of(pair) + at;
    const __m512i lower = _mm512_set_epi16(  // dimensions 0 to 15 of both rows, in turns
        47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4,
        35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i upper = _mm512_add_epi16(lower, _mm512_set1_epi16(16));
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
      const __m512i low = _mm512_loadu_si512(from + j * 32);
      const __m512i high = _mm512_loadu_si512(from + dim + j * 32);
      v[2 * j] = _mm512_castsi512_ps(_mm512_permutex2var_epi16(low, lower, high));
      v[2 * j + 1] = _mm512_castsi512_ps(_mm512_permutex2var_epi16(low, upper, high));
    }
  }
};

/// Queries of the pairs from `first` on as [pair][kMaxUnits]. Scores are scaled later, by |scale|.
void load_query_units(const TilePairs& pairs, int first, int count, float* out) {
  const AttentionArgs& a = pairs.a;
  const int dim = int(a.head_dim);
  const __m512 sign = _mm512_set1_ps(a.scale < 0 ? -1.0f : 1.0f);
  const auto row_of = [&](int pair) {
    return a.q + pairs.row(pair) * a.q_stride + pairs.column(pair);
  };
  for (int r = 0; r < count; r++) {
    const float* q = row_of(first + r);
    for (int at = 0; at < dim; at += 32) {
      const __m512 low = _mm512_maskz_loadu_ps(lanes_of(dim - at), q + at);
      const __m512 high = _mm512_maskz_loadu_ps(lanes_of(dim - at - 16), q + at + 16);
      _mm512_store_ps(out + r * kMaxUnits + at / 2,
                      narrow(_mm512_mul_ps(low, sign), _mm512_mul_ps(high, sign)));
    }
  }
  for (int pair = first + count; pair < first + 2 * count && pair < pairs.t.pairs; pair++) {
    prefetch_row(row_of(pair), dim);
  }
}

struct Bf16Form {
  static constexpr int kMaxUnits = cpu::kMaxUnits, kMaxSets = 1;
  static constexpr bool kPaged = true;
  using Queries = cpu::Queries;
  using Packed = PackedPart;
  using Paged = PagedPart;
  static int padded_units(const AttentionArgs& a) { return cpu::padded_units(a); }
  static void load_queries(const TilePairs& pairs, int first, int count, Queries& q) {
    load_query_units(pairs, first, count, q.units);
  }
};

}  // namespace

void attention_avx512_bf16(const AttentionArgs& a, const AttentionTile& t) {
  attend_in_parts<Bf16Form>(a, t);
}

}  // namespace chiasm::kernels::cpu
