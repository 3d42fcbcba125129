#pragma once
/// Bytes of weights that are kept as small as in their file and become float32 on their way into a
/// product. Plain constants and functions of this file alone: files compiled with instruction-set
/// flags include this header.
///
/// A unit is one block of 16 outputs, the 16 lanes of a vector:
///   [16] float32 scales, then [16] float32 minima where the form has minima;
///   of forms with group scales: [groups][16] int8, then [groups][16] uint8 group minima, or both
///   in the nibbles of [groups][16] bytes;
///   for each 32 inputs the bits of q, as planes of 4, 2 and 1 bits, the lowest bits first:
///     4 bits: [16][16] bytes, byte i holds inputs i and i + 16
///     2 bits: [8][16] bytes, byte i holds inputs i, i + 8, i + 16 and i + 24
///     1 bit:  [4][16] bytes, byte i holds inputs i, i + 4, ... i + 28
/// w = scale * s * (q - offset) - minimum * n, with s = n = 1 where groups have none.
#include <cstdint>

namespace chiasm::kernels::cpu {

enum class BlockForm : std::uint8_t { q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, q4_32, q4_128 };

enum class GroupScales : std::uint8_t { none, bytes, nibbles };

struct BlockTraits {
  int inputs;  // of a block
  int group;   // inputs that share a scale
  int bits;    // of q
  int offset;
  bool minima;
  GroupScales scales;
};

inline constexpr int kFormLanes = 16;
inline constexpr int kFormStep = 32;  // inputs whose bits stand together

static constexpr BlockTraits traits_of(BlockForm form) {
  switch (form) {
    case BlockForm::q5_1:
      return {32, 32, 5, 0, true, GroupScales::none};
    case BlockForm::q2_k:
      return {256, 16, 2, 0, true, GroupScales::nibbles};
    case BlockForm::q3_k:
      return {256, 16, 3, 4, false, GroupScales::bytes};
    case BlockForm::q4_k:
      return {256, 32, 4, 0, true, GroupScales::bytes};
    case BlockForm::q5_k:
      return {256, 32, 5, 0, true, GroupScales::bytes};
    case BlockForm::q6_k:
      return {256, 16, 6, 32, false, GroupScales::bytes};
    case BlockForm::q4_32:
      return {32, 32, 4, 0, true, GroupScales::none};
    case BlockForm::q4_128:
      return {128, 128, 4, 0, true, GroupScales::none};
  }
  return {};
}

/// Where the parts of a unit begin, in bytes.
struct BlockLayout {
  int minima, group_scales, group_minima, steps, step_bytes, bytes;
};

static constexpr BlockLayout layout_of(BlockTraits t) {
  const int rows = t.inputs / t.group * kFormLanes;
  BlockLayout l{};
  l.minima = kFormLanes * 4;
  l.group_scales = l.minima + (t.minima ? kFormLanes * 4 : 0);
  l.group_minima = l.group_scales + (t.scales == GroupScales::bytes ? rows : 0);
  l.steps = l.group_minima + (t.minima && t.scales != GroupScales::none ? rows : 0);
  l.step_bytes = kFormStep * kFormLanes * t.bits / 8;
  l.bytes = l.steps + t.inputs / kFormStep * l.step_bytes;
  return l;
}

/// Inputs [begin, end), multiples of 32, of one panel as float32 [end - begin][width].
struct WidenBlocks {
  const void* panel;
  std::int64_t begin, end;
  int width;  // 16 or 32
  float* out;
};

}  // namespace chiasm::kernels::cpu
