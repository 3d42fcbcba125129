#pragma once
/// The pointwise, row-wise and attention kernels of one CPU path. Bodies are the *_inl.h headers,
/// written once over the vectors of simd_*.h and compiled per instruction set (ops_*.cpp).
#include <cstdint>

#include "kernels/activation_kind.h"
#include "kernels/cpu/args.h"
#include "kernels/cpu/block_form.h"

namespace chiasm::kernels::cpu {

struct CpuOps {
  /// x[i] = act(x[i]).
  void (*activate)(Activation act, float* x, std::int64_t n);
  /// y[i] = act(gate[i]) * up[i].
  void (*gated_activation)(Activation act, const float* gate, const float* up, float* y,
                           std::int64_t n);
  /// Rows [begin, end).
  void (*layer_norm)(const NormArgs& args, std::int64_t begin, std::int64_t end);
  void (*rms_norm)(const NormArgs& args, std::int64_t begin, std::int64_t end);
  /// (x[i], x[i + half]) turned by the angle of pair i.
  void (*rotate_half)(float* x, const float* cosine, const float* sine, std::int64_t half);
  void (*attention)(const AttentionArgs& args, const AttentionTile& tile);
  /// The same with products of bfloat16 pairs, for CPUs with AVX-512 BF16 (has_avx512_bf16); null
  /// where a path has none.
  void (*attention_bf16)(const AttentionArgs& args, const AttentionTile& tile);
  /// The same over pages of int8, with products of int8 for the scores.
  void (*attention_int8)(const AttentionArgs& args, const AttentionTile& tile);
  /// The same over contiguous rows, with products of int8 for the scores.
  void (*attention_int8_scores)(const AttentionArgs& args, const AttentionTile& tile);
  /// Joins parts [0, parts) of tile.partial, of which those that the rows see were attended, into
  /// rows of `out`: the same bits as attending all parts at once.
  void (*join_attention)(const AttentionArgs& args, const AttentionTile& tile, int parts);
  /// Index of the first largest value that is not NaN; -1 when there is none.
  std::int64_t (*argmax)(const float* x, std::int64_t n);
  /// out[i] = exp(x[i] - shift); returns their sum, taken in double. `out` may be null.
  double (*exp_all)(const float* x, std::int64_t n, float shift, float* out);
  /// Weights of a block form as float32.
  void (*widen_blocks)(BlockForm form, const WidenBlocks& args);
};

void attention_avx512_bf16(const AttentionArgs& args, const AttentionTile& tile);
void attention_avx512_int8(const AttentionArgs& args, const AttentionTile& tile);
void attention_avx512_int8_scores(const AttentionArgs& args, const AttentionTile& tile);

// Where the compiler cannot build a path, ops_unavailable.cpp has a version that throws.
const CpuOps& ops_portable();
const CpuOps& ops_neon();
const CpuOps& ops_avx2();
const CpuOps& ops_avx512();

}  // namespace chiasm::kernels::cpu
