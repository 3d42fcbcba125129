#pragma once
/// Bytes of quantized weights and activations. Plain constants: files compiled with instruction-set
/// flags include this header.
///
/// Weights: w = scale * q + min, in groups of 32 inputs of one output, q unsigned, scale and min
/// float16. A block is one group of 16 outputs, the 16 lanes of a vector:
///   q8:  q = 0..255, min = -128 * scale (not stored)
///        [8][16][4] uint8: step j holds inputs 4j..4j+3; then 16 scales
///   q8_rows:  as q8, without scales in the block (packed.h)
///   q4:  q = 0..15
///        [4][16][4] bytes: the low nibbles of step j are inputs 8j..8j+3, the high ones inputs
///        8j+4..8j+7; then 16 scales, then 16 minima
/// Groups of 16 inputs (of some GGUF types) fit as two sets of scales and minima behind the same 32
/// inputs; no format uses that yet.
///
/// Activations: x = scale * q, q = -127..127, in the same groups (for q8_rows: of 128). A unit of R
/// rows is [R][group] int8, [R] float32 scales, [R] corrections (q8_rows with AVX-512: [R] of group
/// int8, scale and correction, so that the rows lie in different banks of the cache):
///   for q8, q8_rows  int32  -128 * sum(q): what the offset of unsigned weights adds to a product
///                    (AVX-512: counted from kSumOrigin on, int_sums_avx512_inl.h)
///   for q4  float32 scale * sum(q): what `min` is multiplied by
#include <cstdint>

namespace chiasm::kernels::cpu {

inline constexpr int kGroup = 32;
inline constexpr int kQ8Scales = 512, kQ8Block = 512 + 32;
inline constexpr int kQ8RowsBlock = 512;
inline constexpr int kQ4Scales = 256, kQ4Minima = 288, kQ4Block = 256 + 64;
inline constexpr int kQ8Offset = 128;
inline constexpr int kQuantUnit = kGroup + 8;  // bytes of one row's group of activations
inline constexpr int kWideGroup = 128;         // of the activations of q8_rows
inline constexpr int kWideUnit = kWideGroup + 8;

/// Below this largest magnitude a group of activations counts as zeros: 127 / magnitude would
/// overflow.
inline constexpr float kSmallestGroup = 0x1p-100f;
/// Above it stand infinity and NaN.
inline constexpr float kLargestFloat = 0x1.fffffep127f;

}  // namespace chiasm::kernels::cpu
