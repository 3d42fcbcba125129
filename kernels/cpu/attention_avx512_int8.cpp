// Attention over pages of int8. Scores are integer products of keys and queries, which are rounded
// to int8 in the same groups (VPDPBUSD); a group's sum is exact, so only the order of groups is
// fixed. Values become bfloat16, which holds every int8, and their scales go into the weights:
// those of a key differ from group to group. What is left is as in attention_avx512_bf16.cpp.
#include <cstdint>

#include "kernels/cpu/attention_parts_inl.h"
#include "kernels/cpu/ops.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kMaxUnits = kMaxHeadDim / 4;
constexpr int kMaxGroups = kMaxHeadDim / kScaledDims;
constexpr int kGroupUnits = kScaledDims / 4;

inline int groups_of(const AttentionArgs& a) { return int(scales_of_row(a.head_dim)); }
/// Units of four dimensions, as whole vectors.
inline int padded_units(const AttentionArgs& a) { return int(a.head_dim + 63) / 64 * 16; }

/// Six rows in int8. VPDPBUSD wants keys from 0 to 255, so they are 128 more than they are, and
/// `begin` takes 128 times the sum of the row's numbers away again.
struct Queries {
  std::int32_t units[kPairsTogether][kMaxUnits];
  std::int32_t begin[kPairsTogether][kMaxGroups];
  float scale[kPairsTogether][kMaxGroups];
};

/// Row `r` from dimension 32 * group on. `sign`: that of the attention's scale, which is applied
/// later without it.
void round_group(const float* q, int left, __m512 sign, int group, int r, Queries& out) {
  const __m512 low = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes_of(left), q), sign);
  const __m512 high = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes_of(left - 16), q + 16), sign);
  const float most = largest(max(abs(V{low}), abs(V{high})));
  const __m512 factor = _mm512_set1_ps(most > 0 ? 127 / most : 0);
  const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(low, factor));
  const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(high, factor));
  std::int32_t* to = out.units[r] + group * kGroupUnits;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(a));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 4), _mm512_cvtsepi32_epi8(b));
  out.begin[r][group] = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
  out.scale[r][group] = most / 127;
}

/// 16 scales of one group.
inline __m512 load_scales(const std::uint16_t* scales) { return V::load_bf16(scales).v; }

/// Where a block's scales lie.
struct BlockScales {
  const std::uint16_t* keys = nullptr;  // [group][key]
  const std::uint16_t* values = nullptr;
};

/// The scores of R rows and N vectors of keys: groups of exact sums, added in ascending order.
template <int R, int N>
struct Scores {
  __m512 sums[R][N];

  Scores() {
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
      for (int j = 0; j < N; j++) sums[r][j] = _mm512_setzero_ps();
    }
  }
  /// load(unit, k) gives N vectors of keys, each lane four dimensions of a key, plus 128.
  template <class Load>
  __attribute__((always_inline)) void add_group(const Queries& q, int group,
                                                const std::uint16_t* scales, const Load& load) {
    __m512i dots[R][N];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
      for (int j = 0; j < N; j++) dots[r][j] = _mm512_set1_epi32(q.begin[r][group]);
    }
#pragma GCC unroll 8
    for (int u = 0; u < kGroupUnits; u++) {
      __m512i k[N];
      load(u, k);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        const __m512i factor = _mm512_set1_epi32(q.units[r][group * kGroupUnits + u]);
#pragma GCC unroll 2
        for (int j = 0; j < N; j++) dots[r][j] = _mm512_dpbusd_epi32(dots[r][j], k[j], factor);
      }
    }
#pragma GCC unroll 2
    for (int j = 0; j < N; j++) {
      const __m512 scale = load_scales(scales + group * kKeyBlock + j * 16);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(q.scale[r][group]));
        sums[r][j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r][j]), both, sums[r][j]);
      }
    }
  }
  void store(float* scores) const {
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
      for (int j = 0; j < N; j++) _mm512_store_ps(scores + r * kPartKeys + j * 16, sums[r][j]);
    }
  }
};

inline __m512i plus_128(__m512i keys) {
  return _mm512_xor_si512(keys, _mm512_set1_epi8(char(0x80)));
}

/// Scores of one packed block, [unit][key], plus 128.
template <int R>
void score_block(const Queries& q, const float* keys, int groups, const std::uint16_t* scales,
                 float* scores) {
  for (int key = 0; key < kKeyBlock; key += 32) {
    Scores<R, 2> block;
    for (int g = 0; g < groups; g++) {
      block.add_group(
          q, g, scales + key, [&](int u, __m512i(&k)[2]) __attribute__((always_inline)) {
            const float* from = keys + (g * kGroupUnits + u) * kKeyBlock + key;
            k[0] = _mm512_load_si512(from);
            k[1] = _mm512_load_si512(from + 16);
          });
    }
    block.store(scores + key);
  }
}

/// The same, bit for bit, from keys where they lie, [key][units]; units % 16 == 0. Meanwhile asks
/// for the block's values and the next block's keys, of the same size, which come from memory.
template <int R>
void score_rows(const Queries& q, const float* keys, int units, const std::uint16_t* scales,
                const void* values, const void* next, float* scores) {
  for (int key = 0; key < kKeyBlock; key += 16) {
    Scores<R, 1> some;
    for (int u = 0; u < units; u += 16) {
      const int at = (key * units + u * 16) * int(sizeof(float));
      const int behind = (kKeyBlock * units + key / 16 * units + u) * int(sizeof(float));  // scales
      fetch(static_cast<const char*>(values) + at, 16);
      fetch(static_cast<const char*>(next) + at, 16);
      fetch(static_cast<const char*>(values) + behind, 1);
      fetch(static_cast<const char*>(next) + behind, 1);
      V k[16];
      load_transposed(keys + key * units + u, units, k);
#pragma GCC unroll 2
      for (int half = 0; half < 2; half++) {
        some.add_group(
            q, u / kGroupUnits + half,
            scales + key, [&](int i, __m512i(&one)[1]) __attribute__((always_inline)) {
              one[0] = plus_128(_mm512_castps_si512(k[half * kGroupUnits + i].v));
            });
      }
    }
    some.store(scores + key);
  }
}

/// N vectors of the values of two keys as units of bfloat16: what a float32 has above its lower
/// half holds any int8.
template <int N>
void widen_values(const std::int8_t* low, const std::int8_t* high, __m512 (&v)[N]) {
#pragma GCC unroll 4
  for (int j = 0; j < N; j++) {
    const __m512 first = V::load_int8(low + j * 16).v, second = V::load_int8(high + j * 16).v;
    const __m512i lower = _mm512_srli_epi32(_mm512_castps_si512(first), 16);
    v[j] = _mm512_castsi512_ps(_mm512_or_si512(lower, _mm512_castps_si512(second)));
  }
}

/// Weights as the values want them: times the values' scales, group by group, then narrowed. Their
/// sum is that of the weights themselves.
struct ScaledWeights {
  static constexpr int kSharedColumns = kScaledDims;
  int groups = 0;
  BlockScales scales[kPartKeys / kKeyBlock];

  int sets() const { return groups; }
  void keep(const Softened& w, int at, float* weights, __m512& added) const {
    const std::uint16_t* from = scales[at / kKeyBlock].values + at % kKeyBlock;
    for (int g = 0; g < groups; g++, from += kKeyBlock) {
      // What lies at keys that nobody sees may be anything.
      const __m512 low = _mm512_maskz_mul_ps(w.low_seen, w.low, load_scales(from));
      const __m512 high = _mm512_maskz_mul_ps(w.high_seen, w.high, load_scales(from + 16));
      _mm512_store_ps(weights + g * kPartPairs + at / 2, narrow(low, high));
    }
    added = _mm512_add_ps(added, _mm512_add_ps(w.low, w.high));
  }
};

/// A part as many rows want it.
struct PackedPart : ScaledWeights {
  float* keys = nullptr;    // by blocks: [unit][key], plus 128
  float* values = nullptr;  // [pair of keys][padded dim]
  int padded_units = 0, padded_dim = 0;

  PackedPart() = default;
  PackedPart(const AttentionArgs& a, float* keys_at, float* values_at)
      : ScaledWeights{groups_of(a), {}},
        keys(keys_at),
        values(values_at),
        padded_units(cpu::padded_units(a)),
        padded_dim(cpu::padded_dim<V>(a)) {}

  void take(const AttentionArgs& a, int key, KeyRange range, const BlockRows& key_rows,
            const BlockRows& value_rows, const BlockRows&, float* buffer) {
    scales[key / kKeyBlock] = {key_rows.scales, value_rows.scales};
    pack_keys(static_cast<const std::int8_t*>(key_rows.data), int(a.head_dim), buffer,
              keys + key * padded_units);
    pack_values(static_cast<const std::int8_t*>(value_rows.data), int(a.head_dim), range,
                values + key / 2 * padded_dim);
  }
  void pack_keys(const std::int8_t* rows, int dim, float* buffer, float* out) const {
    for (int key = 0; key < kKeyBlock; key++) {
      for (int u = 0; u < padded_units; u += 16) {
        const int left = dim - 4 * u;
        const __mmask64 mask = left >= 64 ? ~__mmask64(0) : (__mmask64(1) << left) - 1;
        const __m512i row = _mm512_maskz_loadu_epi8(mask, rows + key * dim + 4 * u);
        _mm512_store_si512(buffer + key * padded_units + u, plus_128(row));
      }
    }
    transpose_keys<V>({buffer, padded_units}, padded_units, out);
  }
  void pack_values(const std::int8_t* rows, int dim, KeyRange range, float* out) const {
    for (int pair = range.begin / 2; pair < (range.end + 1) / 2; pair++) {
      for (int c = 0; c < padded_dim; c += 16) {
        alignas(16) std::int8_t two[2][16] = {};
        const std::int8_t* from[2] = {rows + 2 * pair * dim + c, rows + (2 * pair + 1) * dim + c};
        if (c + 16 > dim) {
          for (int i = 0; i < 2; i++) {
            const __m128i last = _mm_maskz_loadu_epi8(lanes_of(dim - c), from[i]);
            _mm_store_si128(reinterpret_cast<__m128i*>(two[i]), last);
            from[i] = two[i];
          }
        }
        __m512 v[1];
        widen_values(from[0], from[1], v);
        _mm512_store_ps(out + pair * padded_dim + c, v[0]);
      }
    }
  }

  template <int R>
  void score(const Queries& q, int key, float* scores) const {
    score_block<R>(q, keys + key * padded_units, groups, this->scales[key / kKeyBlock].keys,
                   scores);
  }
  template <int N>
  void load_values(int pair, int at, __m512 (&v)[N]) const {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) v[j] = _mm512_load_ps(values + pair * padded_dim + at + j * 16);
  }
};

/// A part where it lies: for so few rows that writing it packed would cost more than using it.
struct PagedPart : ScaledWeights {
  const float* keys[kPartKeys / kKeyBlock + 1];      // by blocks: [key][unit]; one more, to fetch
  const std::int8_t* values[kPartKeys / kKeyBlock];  // by blocks: [key][dim]
  int dim;

  static bool fits(const AttentionArgs& a) { return a.head_dim % 64 == 0; }
  PagedPart(const AttentionArgs& a, const AttentionTile& t, std::int64_t part, KeyRange seen)
      : ScaledWeights{groups_of(a), {}}, dim(int(a.head_dim)) {
    const int begin = seen.begin / kKeyBlock, end = (seen.end - 1) / kKeyBlock + 1;
    for (int i = begin; i < end; i++) {
      const std::int64_t block = part * (kPartKeys / kKeyBlock) + i;
      const BlockRows key_rows = block_rows(a, t, a.k, a.k_stride, block);
      const BlockRows value_rows = block_rows(a, t, a.v, a.v_stride, block);
      scales[i] = {key_rows.scales, value_rows.scales};
      keys[i] = static_cast<const float*>(key_rows.data);
      values[i] = static_cast<const std::int8_t*>(value_rows.data);
    }
    keys[end] = keys[end - 1];  // nothing comes behind it: what is there already
    fetch(keys[begin], kKeyBlock * dim / 64 + dim / 16);
  }

  template <int R>
  void score(const Queries& q, int key, float* scores) const {
    const int block = key / kKeyBlock;
    score_rows<R>(q, keys[block], dim / 4, this->scales[block].keys, values[block], keys[block + 1],
                  scores);
  }
  template <int N>
  void load_values(int pair, int at, __m512 (&v)[N]) const {
    constexpr int kBlockPairs = kKeyBlock / 2;
    const std::int8_t* from =
        values[pair / kBlockPairs] + std::int64_t(pair % kBlockPairs) * 2 * dim + at;
    widen_values(from, from + dim, v);
  }
};

struct Int8Form {
  static constexpr int kMaxUnits = cpu::kMaxUnits, kMaxSets = kMaxGroups;
  static constexpr bool kPaged = true;
  using Queries = cpu::Queries;
  using Packed = PackedPart;
  using Paged = PagedPart;
  static int padded_units(const AttentionArgs& a) { return cpu::padded_units(a); }
  static void load_queries(const TilePairs& pairs, int first, int count, Queries& q) {
    const AttentionArgs& a = pairs.a;
    const __m512 sign = _mm512_set1_ps(a.scale < 0 ? -1.0f : 1.0f);
    const int dim = int(a.head_dim);
    for (int r = 0; r < count; r++) {
      const float* row = a.q + pairs.row(first + r) * a.q_stride + pairs.column(first + r);
      for (int g = 0; g < groups_of(a); g++) {
        round_group(row + g * kScaledDims, dim - g * kScaledDims, sign, g, r, q);
      }
    }
  }
};

}  // namespace

void attention_avx512_int8(const AttentionArgs& a, const AttentionTile& t) {
  attend_in_parts<Int8Form>(a, t);
}

}  // namespace chiasm::kernels::cpu
