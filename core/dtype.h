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

/// GGUF's quantized block types that are read: 32 consecutive numbers of one row.
///   q4_0:  float16 d, 16 bytes; w = d * (q - 8)        bytes: low nibbles are numbers 0..15,
///   q4_1:  float16 d, float16 m, 16 bytes; w = d * q + m      high ones numbers 16..31
///   q8_0:  float16 d, 32 int8; w = d * q
enum class BlockType : std::uint8_t { q4_0, q4_1, q8_0 };

/// "q4_0", ...
std::string_view name(BlockType type);
/// Bytes of one block.
constexpr std::size_t block_bytes(BlockType type) {
  switch (type) {
    case BlockType::q4_0:
      return 2 + 16;
    case BlockType::q4_1:
      return 4 + 16;
    case BlockType::q8_0:
      return 2 + 32;
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
