#pragma once
/// GGUF blocks as their numbers. Source of the bit layouts: block_q*_K of ggml-common.h and
/// dequantize_row_* of ggml-quants.c in ggml.
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "kernels/cpu/block_form.h"

namespace chiasm::kernels::cpu {

/// w[i] = scale * s * (q[i] - offset) - minimum * n, offset and groups as the form has them.
struct FileBlock {
  static constexpr int kMost = 256;
  std::uint8_t q[kMost];
  float scale, minimum;
  std::int8_t scales[kMost / 16];
  std::uint8_t minima[kMost / 16];
};

/// The form that keeps such blocks; only of types whose WeightFormat is a block form.
BlockForm form_of(BlockType type);

/// Reads one block of such a type, all its numbers unchanged.
void read_block(BlockType type, const std::byte* block, FileBlock& out);

}  // namespace chiasm::kernels::cpu
