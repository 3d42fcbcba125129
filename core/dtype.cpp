#include "core/dtype.h"

#include <cmath>

namespace chiasm {

std::string_view name(DType t) {
  switch (t) {
    case DType::f64:
      return "float64";
    case DType::f32:
      return "float32";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    case DType::i64:
      return "int64";
    case DType::i32:
      return "int32";
    case DType::i16:
      return "int16";
    case DType::i8:
      return "int8";
    case DType::u8:
      return "uint8";
    case DType::boolean:
      return "bool";
  }
  return "unknown";
}

float to_float(f16 v) {
  const std::uint32_t sign = std::uint32_t(v.bits & 0x8000u) << 16;
  const std::uint32_t exponent = (v.bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = v.bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = std::ldexp(float(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

f16 to_f16(float v) {
  const auto u = std::bit_cast<std::uint32_t>(v);
  const auto sign = std::uint16_t((u >> 16) & 0x8000u);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {std::uint16_t(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {std::uint16_t(sign | 0x7c00u)};  // rounds up past 65504
  if (magnitude < 0x38800000u) {  // subnormal: the unit is 2^-24
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p24f;
    return {std::uint16_t(sign | std::uint16_t(std::nearbyint(scaled)))};
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {std::uint16_t(sign | ((rounded - 0x38000000u) >> 13))};
}

std::string_view name(BlockType type) {
  switch (type) {
    case BlockType::q4_0:
      return "q4_0";
    case BlockType::q4_1:
      return "q4_1";
    case BlockType::q5_0:
      return "q5_0";
    case BlockType::q5_1:
      return "q5_1";
    case BlockType::q8_0:
      return "q8_0";
    case BlockType::iq4_nl:
      return "iq4_nl";
    case BlockType::q2_k:
      return "q2_k";
    case BlockType::q3_k:
      return "q3_k";
    case BlockType::q4_k:
      return "q4_k";
    case BlockType::q5_k:
      return "q5_k";
    case BlockType::q6_k:
      return "q6_k";
  }
  return "unknown";
}

}  // namespace chiasm
