#pragma once
/// Values and softmax weights as pairs of bfloat16, packed for products by VDPBF16PS. For files
/// compiled for AVX-512 BF16.
#include <cstdint>

#include "kernels/cpu/attention_inl.h"
#include "kernels/cpu/attention_softmax_inl.h"

namespace chiasm::kernels::cpu {
namespace {

/// Rows of a wide matrix come from far and in steps that the CPU does not foresee: while a block of
/// keys is packed its values are asked for, and while these are packed the next block's keys.
inline void prefetch_row(const float* row, int dim) {
  for (int i = 0; i < dim; i += 16) {
    _mm_prefetch(reinterpret_cast<const char*>(row + i), _MM_HINT_T0);
  }
}
inline void prefetch_row(const BlockRows& rows, int key, int dim) {
  if (rows.data == nullptr || rows.format != RowFormat::f32) return;
  prefetch_row(static_cast<const float*>(rows.data) + key * rows.stride, dim);
}

/// 16 values of a row, zeros where not in `mask`.
inline __m256i load_values(const BlockRows& rows, int key, int at, __mmask16 mask) {
  if (rows.format == RowFormat::bf16) {
    const auto* from = static_cast<const std::uint16_t*>(rows.data) + key * rows.stride + at;
    return _mm256_maskz_loadu_epi16(mask, from);
  }
  const float* from = static_cast<const float*>(rows.data) + key * rows.stride + at;
  return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
}

/// Values of a block as [pair of keys][padded dim]. Pairs that nobody sees are left out.
void pack_values(const AttentionArgs& a, const BlockRows& rows, KeyRange range,
                 const BlockRows& wanted, float* out) {
  const int dim = int(a.head_dim), padded = padded_dim<V>(a);
  for (int pair = range.begin / 2; pair < (range.end + 1) / 2; pair++) {
    prefetch_row(wanted, 2 * pair, dim);
    prefetch_row(wanted, 2 * pair + 1, dim);
    const bool first = 2 * pair >= range.begin, second = 2 * pair + 1 < range.end;
    for (int c = 0; c < padded; c += V::kLanes) {
      const __mmask16 mask = lanes_of(dim - c);
      const __m256i low = load_values(rows, 2 * pair, c, first ? mask : 0);
      const __m256i high = load_values(rows, 2 * pair + 1, c, second ? mask : 0);
      _mm512_store_ps(out + pair * padded + c, side_by_side(low, high));
    }
  }
}

/// Weights are narrowed as the values are, and their sum is that of the narrowed ones: they add up
/// to one.
struct NarrowWeights {
  static constexpr int kSharedColumns = kMaxHeadDim;
  static constexpr int sets() { return 1; }
  static void keep(const Softened& w, int at, float* weights, __m512& added) {
    const __m512 ones = _mm512_castsi512_ps(_mm512_set1_epi32(0x3f803f80));
    const __m512 pairs = narrow(w.low, w.high);
    _mm512_store_ps(weights + at / 2, pairs);
    added = add_product(added, pairs, ones);
  }
};

/// The values of a part as many rows want them.
struct PackedValues : NarrowWeights {
  float* values = nullptr;  // [pair of keys][padded dim]
  int padded_dim = 0;

  PackedValues() = default;
  PackedValues(const AttentionArgs& a, float* at) : values(at), padded_dim(cpu::padded_dim<V>(a)) {}
  /// N vectors of a pair's values, from dimension `at` on.
  template <int N>
  void load_values(int pair, int at, __m512 (&v)[N]) const {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) v[j] = _mm512_load_ps(values + pair * padded_dim + at + j * 16);
  }
};

}  // namespace
}  // namespace chiasm::kernels::cpu
