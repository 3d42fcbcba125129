#pragma once
/// Number formats of tensors in files and in memory.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace chiasm {

enum class DType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

/// Bytes of one element.
constexpr std::size_t size_of(DType t) {
  switch (t) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
      return 2;
    case DType::i8:
    case DType::u8:
    case DType::boolean:
      return 1;
  }
  return 0;
}

/// "float32", "bfloat16", ...: the names of the Python API.
std::string_view name(DType t);

/// GGUF's quantized block types that are read: consecutive numbers of one row. q are unsigned bits,
/// d and m float16. Source: the block_q* structures of ggml-common.h in ggml.
/// 32 numbers:
///   q4_0:    w = d * (q - 8)       4 bits
///   q4_1:    w = d * q + m         4 bits
///   q5_0:    w = d * (q - 16)      5 bits
///   q5_1:    w = d * q + m         5 bits
///   q8_0:    w = d * q             int8
///   iq4_nl:  w = d * codebook[q]   4 bits, a codebook of int8
/// 256 numbers, whose groups have integer scales s and minima n:
///   q2_k:    w = d * s * q - m * n   2 bits, groups of 16, s and n of 4 bits
///   q3_k:    w = d * s * (q - 4)     3 bits, groups of 16, s of 6 bits and a sign
///   q4_k:    w = d * s * q - m * n   4 bits, groups of 32, s and n of 6 bits
///   q5_k:    w = d * s * q - m * n   5 bits, groups of 32, s and n of 6 bits
///   q6_k:    w = d * s * (q - 32)    6 bits, groups of 16, s int8
enum class BlockType : std::uint8_t {
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  iq4_nl,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k
};

/// "q4_0", ...
std::string_view name(BlockType type);
/// Numbers of one block.
constexpr std::int64_t block_values(BlockType type) { return type < BlockType::q2_k ? 32 : 256; }
/// Bytes of one block.
constexpr std::size_t block_bytes(BlockType type) {
  switch (type) {
    case BlockType::q4_0:
    case BlockType::iq4_nl:
      return 2 + 16;
    case BlockType::q4_1:
      return 4 + 16;
    case BlockType::q5_0:
      return 2 + 4 + 16;
    case BlockType::q5_1:
      return 4 + 4 + 16;
    case BlockType::q8_0:
      return 2 + 32;
    case BlockType::q2_k:
      return 16 + 64 + 4;
    case BlockType::q3_k:
      return 32 + 64 + 12 + 2;
    case BlockType::q4_k:
      return 4 + 12 + 128;
    case BlockType::q5_k:
      return 4 + 12 + 32 + 128;
    case BlockType::q6_k:
      return 128 + 64 + 16 + 2;
  }
  return 0;
}

/// A bfloat16 number: the upper half of a float32.
struct bf16 {
  std::uint16_t bits;
};
/// An IEEE binary16 number.
struct f16 {
  std::uint16_t bits;
};

constexpr float to_float(bf16 v) { return std::bit_cast<float>(std::uint32_t(v.bits) << 16); }
constexpr float to_float(float v) { return v; }
/// Rounds to nearest, ties to even; NaN stays NaN (quiet).
constexpr bf16 to_bf16(float v) {
  const auto u = std::bit_cast<std::uint32_t>(v);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {std::uint16_t((u >> 16) | 0x40u)};
  return {std::uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}
/// Exact, subnormals included.
float to_float(f16 v);
/// Rounds to nearest, ties to even; overflow gives infinity.
f16 to_f16(float v);

template <class T>
inline constexpr DType dtype_of = DType::u8;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<f16> = DType::f16;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int8_t> = DType::i8;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;

}  // namespace chiasm
