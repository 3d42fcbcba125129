#include "kernels/cpu/file_block.h"

#include <cstring>

#include "core/error.h"

namespace chiasm::kernels::cpu {

namespace {

float half(const std::uint8_t* p) {
  f16 v;
  std::memcpy(&v, p, sizeof v);
  return to_float(v);
}

constexpr int kHalf = 128, kQuarter = 32;  // inputs of half a block, and of those that share bytes

// 16 bytes of 4 bits and 32 bits of fifth ones: inputs 0..15 are the low nibbles.
void read_q5_1(const std::uint8_t* p, FileBlock& out) {
  out.scale = half(p);
  out.minimum = -half(p + 2);
  std::uint32_t fifth = 0;
  std::memcpy(&fifth, p + 4, sizeof fifth);
  for (int i = 0; i < 32; i++) {
    const int low = p[8 + i % 16] >> i / 16 * 4 & 15;
    out.q[i] = std::uint8_t(low | int(fifth >> i & 1u) << 4);
  }
}

// Bits 2j of byte l of a half are input 32 j + l.
int two_bits(const std::uint8_t* p, int i) {
  return p[i / kHalf * kQuarter + i % kQuarter] >> i % kHalf / kQuarter * 2 & 3;
}

// [16] scales and minima, [64] bits, d, m.
void read_q2_k(const std::uint8_t* p, FileBlock& out) {
  out.scale = half(p + 80);
  out.minimum = half(p + 82);
  for (int g = 0; g < 16; g++) {
    out.scales[g] = std::int8_t(p[g] & 15);
    out.minima[g] = std::uint8_t(p[g] >> 4);
  }
  for (int i = 0; i < 256; i++) out.q[i] = std::uint8_t(two_bits(p + 16, i));
}

// [32] third bits, [64] bits, [12] scales, d. Of 6-bit scale g the low 4 bits are in bytes 0..7,
// the high 2 in bytes 8..11.
void read_q3_k(const std::uint8_t* p, FileBlock& out) {
  const std::uint8_t* const scales = p + 96;
  out.scale = half(p + 108);
  for (int g = 0; g < 16; g++) {
    const int low = scales[g % 8] >> g / 8 * 4 & 15, high = scales[8 + g % 4] >> g / 4 * 2 & 3;
    out.scales[g] = std::int8_t((low | high << 4) - 32);
  }
  for (int i = 0; i < 256; i++) {
    const int third = p[i % kQuarter] >> i / kQuarter & 1;
    out.q[i] = std::uint8_t(two_bits(p + 32, i) | third << 2);
  }
}

// d, m, [12] bytes of 8 scales and 8 minima: of the first four, 6 bits in bytes 0..3 and 4..7,
// whose upper 2 bits are the upper bits of the last four; the lower 4 of these are in bytes 8..11.
void read_scales_of_8(const std::uint8_t* p, FileBlock& out) {
  out.scale = half(p);
  out.minimum = half(p + 2);
  const std::uint8_t* const s = p + 4;
  for (int g = 0; g < 8; g++) {
    const int scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
    const int minimum = g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | s[g] >> 6 << 4;
    out.scales[g] = std::int8_t(scale);
    out.minima[g] = std::uint8_t(minimum);
  }
}

// Nibbles of 32 bytes are 64 inputs.
int four_bits(const std::uint8_t* p, int i) {
  return p[i / 64 * kQuarter + i % kQuarter] >> i % 64 / kQuarter * 4 & 15;
}

// Scales as above, [128] bits.
void read_q4_k(const std::uint8_t* p, FileBlock& out) {
  read_scales_of_8(p, out);
  for (int i = 0; i < 256; i++) out.q[i] = std::uint8_t(four_bits(p + 16, i));
}

// Scales as above, [32] fifth bits, [128] bits.
void read_q5_k(const std::uint8_t* p, FileBlock& out) {
  read_scales_of_8(p, out);
  for (int i = 0; i < 256; i++) {
    const int fifth = p[16 + i % kQuarter] >> i / kQuarter & 1;
    out.q[i] = std::uint8_t(four_bits(p + 48, i) | fifth << 4);
  }
}

// [128] low 4 bits, [64] high 2, [16] scales, d. Nibbles of 64 bytes are half a block.
void read_q6_k(const std::uint8_t* p, FileBlock& out) {
  out.scale = half(p + 208);
  std::memcpy(out.scales, p + 192, 16);
  for (int i = 0; i < 256; i++) {
    const int low = p[i / kHalf * 64 + i % 64] >> i % kHalf / 64 * 4 & 15;
    out.q[i] = std::uint8_t(low | two_bits(p + 128, i) << 4);
  }
}

}  // namespace

BlockForm form_of(BlockType type) {
  switch (type) {
    case BlockType::q5_1:
      return BlockForm::q5_1;
    case BlockType::q2_k:
      return BlockForm::q2_k;
    case BlockType::q3_k:
      return BlockForm::q3_k;
    case BlockType::q4_k:
      return BlockForm::q4_k;
    case BlockType::q5_k:
      return BlockForm::q5_k;
    case BlockType::q6_k:
      return BlockForm::q6_k;
    case BlockType::q4_0:
    case BlockType::q4_1:
    case BlockType::q5_0:
    case BlockType::q8_0:
    case BlockType::iq4_nl:
      break;
  }
  fail<ShapeError>("blocks of ", name(type), " have no form of their own");
}

void read_block(BlockType type, const std::byte* block, FileBlock& out) {
  const auto* const p = reinterpret_cast<const std::uint8_t*>(block);
  switch (form_of(type)) {
    case BlockForm::q5_1:
      return read_q5_1(p, out);
    case BlockForm::q2_k:
      return read_q2_k(p, out);
    case BlockForm::q3_k:
      return read_q3_k(p, out);
    case BlockForm::q4_k:
      return read_q4_k(p, out);
    case BlockForm::q5_k:
      return read_q5_k(p, out);
    case BlockForm::q6_k:
      return read_q6_k(p, out);
    case BlockForm::q4_32:
    case BlockForm::q4_128:
      return;  // of other files
  }
}

}  // namespace chiasm::kernels::cpu
