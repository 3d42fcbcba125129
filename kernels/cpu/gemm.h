#pragma once
/// What each instruction set brings to the matrix product. Plain structs only: files compiled with
/// instruction-set flags include this header.
#include <cstdint>

#include "kernels/activation_kind.h"

namespace chiasm::kernels::cpu {

inline constexpr int kLanes = 16;  // outputs in a vector of the widest path
inline constexpr int kPanel = 32;  // outputs in a panel of packed weights

/// Memory that will be wanted soon, to be asked for into the second-level cache.
struct Fetch {
  const void* begin = nullptr;
  std::int64_t bytes = 0;
};

/// A few rows of activations times a block of inputs of one panel:
/// c[r, :] = (resume ? c[r, :] : 0) + sum over k of a[k, r] * b[k, :], added one k after the other
/// (bf16: one pair, quantized weights: one group after the other), so that cutting K anywhere
/// changes no bit.
struct Tile {
  const void* a;  // packed activations
  const void* b;  // packed weights of the panel, at the block's first k (a multiple of 32)
  std::int64_t k;
  float* c;   // [rows][kPanel]
  int rows;   // 1 .. tile_rows
  int width;  // 16 or 32 outputs
  bool resume;
  Fetch fetch = {};  // on the way, evenly spread; a kernel may leave it out
};

/// dst[r, j] = act(src[r, j] * scale[j] + bias[j]), or dst[r, j] += that, or *= that.
struct Finish {
  const float* src;    // [rows][kPanel]
  const float* scale;  // [cols] or null
  const float* bias;   // [cols] or null
  float* dst;
  std::int64_t dst_stride;
  int rows, cols;
  bool accumulate, multiply;
  Activation activation;
};

/// Rows of activations into the order and format that `tile` reads: one unit after the other (see
/// GemmKernel), in each unit the rows side by side.
struct PackRows {
  const float* x;
  std::int64_t x_stride;
  std::int64_t k;
  int rows;
  void* out;  // [units][rows] + kPackSlack bytes
};
inline constexpr std::int64_t kPackSlack = 64;

struct GemmKernel {
  int tile_rows;
  // Activations are packed in units of so many inputs and bytes: 1 and 4 float32, 1 and 2 bfloat16,
  // 32 and 40 for groups of int8, or 128 and 136 (quant_layout.h).
  int unit_inputs, unit_bytes;
  void (*pack_rows)(const PackRows&);
  void (*tile)(const Tile&);    // the weights are in a cache
  void (*stream)(const Tile&);  // the weights come from memory and are read once
  void (*finish)(const Finish&);
};

// One table entry per weight format, in the order f32, bf16, f16 of WeightFormat.
extern const GemmKernel kGemmPortable[3];
extern const GemmKernel kGemmNeon[3];
extern const GemmKernel kGemmAvx2[3];
extern const GemmKernel kGemmAvx512[3];
extern const GemmKernel kGemmAvx512Bf16;  // bf16 weights and activations
extern const GemmKernel kGemmAmxBf16;
// Quantized weights, in the order q8, q4.
extern const GemmKernel kGemmQuantPortable[2];
extern const GemmKernel kGemmQuantNeon[2];
extern const GemmKernel kGemmQuantNeonDot[2];  // with dot products of 8-bit integers
extern const GemmKernel kGemmQuantAvx2[2];
extern const GemmKernel kGemmQuantAvx512[2];
extern const GemmKernel kGemmQ8RowsPortable;
extern const GemmKernel kGemmQ8RowsNeon;
extern const GemmKernel kGemmQ8RowsNeonDot;
extern const GemmKernel kGemmQ8RowsAvx2;
extern const GemmKernel kGemmQ8RowsAvx512;
extern const GemmKernel kGemmAmxQ8Rows;

}  // namespace chiasm::kernels::cpu
