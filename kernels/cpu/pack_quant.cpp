#include "kernels/cpu/pack_quant.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/weights.h"
#include "kernels/cpu/quant_group.h"

namespace chiasm::kernels {

WeightFormat format_of(BlockType type) {
  switch (type) {
    case BlockType::q4_0:
    case BlockType::q4_1:
      return WeightFormat::q4;
    case BlockType::q5_0:
    case BlockType::q8_0:
    case BlockType::iq4_nl:
      return WeightFormat::q8;
    case BlockType::q5_1:
      return WeightFormat::q5_1;
    case BlockType::q2_k:
      return WeightFormat::q2_k;
    case BlockType::q3_k:
      return WeightFormat::q3_k;
    case BlockType::q4_k:
      return WeightFormat::q4_k;
    case BlockType::q5_k:
      return WeightFormat::q5_k;
    case BlockType::q6_k:
      return WeightFormat::q6_k;
  }
  fail<ShapeError>("blocks of type ", int(type), " have no format");
}

namespace cpu {

namespace {

std::byte* block_at(const Matrix::Packed& packed, std::int64_t output, std::int64_t group) {
  const std::int64_t panel = output / kPanel, width = packed.width(panel);
  const std::int64_t block = group * (width / kLanes) + output % kPanel / kLanes;
  return const_cast<std::byte*>(packed.panel(panel)) + block * packed.unit_bytes();
}

void put_half(std::byte* block, int offset, std::int64_t lane, f16 v) {
  std::memcpy(block + offset + 2 * lane, &v, sizeof v);
}

f16 half_at(const std::byte* block, int offset, std::int64_t lane) {
  f16 v;
  std::memcpy(&v, block + offset + 2 * lane, sizeof v);
  return v;
}

// See quant_layout.h for where each byte goes.
void put_group(const Matrix::Packed& packed, std::int64_t output, std::int64_t index,
               const QuantGroup& group) {
  std::byte* const block = block_at(packed, output, index);
  const std::int64_t lane = output % kLanes;
  if (packed.format != WeightFormat::q4) {
    for (int k = 0; k < kGroup; k += 4) std::memcpy(block + k * 16 + lane * 4, group.q + k, 4);
    if (packed.format == WeightFormat::q8) put_half(block, kQ8Scales, lane, group.scale);
    return;
  }
  for (int k = 0; k < kGroup; k += 8) {
    for (int i = 0; i < 4; i++) {
      block[k * 8 + lane * 4 + i] = std::byte(group.q[k + i] | group.q[k + 4 + i] << 4);
    }
  }
  put_half(block, kQ4Scales, lane, group.scale);
  put_half(block, kQ4Minima, lane, group.min);
}

QuantGroup get_group(const Matrix::Packed& packed, std::int64_t output, std::int64_t index) {
  const std::byte* const block = block_at(packed, output, index);
  const std::int64_t lane = output % kLanes;
  QuantGroup group{};
  if (packed.format != WeightFormat::q4) {
    for (int k = 0; k < kGroup; k += 4) std::memcpy(group.q + k, block + k * 16 + lane * 4, 4);
    if (packed.format == WeightFormat::q8) group.scale = half_at(block, kQ8Scales, lane);
    return group;
  }
  for (int k = 0; k < kGroup; k += 8) {
    for (int i = 0; i < 4; i++) {
      const auto pair = std::to_integer<int>(block[k * 8 + lane * 4 + i]);
      group.q[k + i] = std::uint8_t(pair & 15);
      group.q[k + 4 + i] = std::uint8_t(pair >> 4);
    }
  }
  group.scale = half_at(block, kQ4Scales, lane);
  group.min = half_at(block, kQ4Minima, lane);
  return group;
}

// Calls fill(part, row of the part, output) for the panel's outputs.
template <class Rows, class Fill>
void each_row(const Matrix::Packed& packed, std::span<const Rows> parts, std::int64_t panel,
              const Fill& fill) {
  const std::int64_t first = panel * kPanel, end = std::min(first + kPanel, packed.out);
  // Outputs that do not exist are zeros: they are multiplied, but never stored.
  const std::int64_t width = packed.width(panel);
  std::memset(
      const_cast<std::byte*>(packed.panel(panel)), 0,
      std::size_t(packed.panel_bytes(width, packed.padded_in()) + packed.scale_bytes(width)));
  std::int64_t row = first;
  const Rows* part = parts.data();
  for (std::int64_t output = first; output < end; output++, row++) {
    while (row >= part->rows) row -= (part++)->rows;
    fill(*part, row, output);
  }
}

// A row of q8_rows: one scale by the largest magnitude; NaN and infinity make the whole row NaN.
void quantize_row(const Matrix::Packed& packed, std::span<const float> weights,
                  std::int64_t output) {
  float top = 0;
  bool finite = true;
  for (const float w : weights) {
    finite = finite && std::isfinite(w);
    top = std::max(top, std::fabs(w));
  }
  const float scale = finite ? top / 127.0f : std::numeric_limits<float>::quiet_NaN();
  const float inverse = top >= kSmallestGroup && finite ? 127.0f / top : 0.0f;
  const_cast<float*>(packed.scales(output / kPanel))[output % kPanel] = scale;
  for (std::size_t k = 0; k < weights.size(); k += kGroup) {
    QuantGroup group{};
    std::fill(std::begin(group.q), std::end(group.q), std::uint8_t(kQ8Offset));
    for (std::size_t i = 0; i < std::min<std::size_t>(kGroup, weights.size() - k); i++) {
      const float q = finite ? std::nearbyint(weights[k + i] * inverse) : 0.0f;
      group.q[i] = std::uint8_t(int(q) + kQ8Offset);
    }
    put_group(packed, output, std::int64_t(k) / kGroup, group);
  }
}

}  // namespace

void quantize_panel(const Matrix::Packed& packed, std::span<const WeightRows> parts,
                    std::int64_t panel, std::span<const float> importance) {
  if (packed.format == WeightFormat::q8_rows) {
    std::vector<float> row(std::size_t(packed.in));
    return each_row(
        packed, parts, panel, [&](const WeightRows& part, std::int64_t at, std::int64_t output) {
          const auto element = std::int64_t(size_of(part.dtype));
          const std::int64_t from = interleaved_row(at, part.interleaved);
          to_floats(part.data + from * packed.in * element, part.dtype, packed.in, row.data());
          quantize_row(packed, row, output);
        });
  }
  float weights[kGroup];
  each_row(
      packed, parts, panel, [&](const WeightRows& part, std::int64_t row, std::int64_t output) {
        const auto element = std::int64_t(size_of(part.dtype));
        const std::int64_t from = interleaved_row(row, part.interleaved);
        for (std::int64_t k = 0; k < packed.in; k += kGroup) {
          const std::int64_t count = std::min<std::int64_t>(kGroup, packed.in - k);
          to_floats(part.data + (from * packed.in + k) * element, part.dtype, count, weights);
          const std::span<const float> group(weights, std::size_t(count));
          const std::span<const float> counts =
              importance.empty() ? importance : importance.subspan(std::size_t(k), group.size());
          put_group(
              packed, output, k / kGroup,
              packed.format == WeightFormat::q8 ? quantize_q8(group) : quantize_q4(group, counts));
        }
      });
}

void pack_block_panel(const Matrix::Packed& packed, std::span<const BlockRows> parts,
                      std::int64_t panel) {
  const std::int64_t groups = packed.in / kGroup;
  each_row(packed, parts, panel, [&](const BlockRows& part, std::int64_t row, std::int64_t output) {
    const auto bytes = std::int64_t(block_bytes(part.type));
    const std::byte* block = part.data + interleaved_row(row, part.interleaved) * groups * bytes;
    for (std::int64_t g = 0; g < groups; g++, block += bytes) {
      put_group(packed, output, g, group_from_block(part.type, block));
    }
  });
}

void widen_quant_row(const Matrix::Packed& packed, std::int64_t output, float* y) {
  for (std::int64_t k = 0; k < packed.in; k += kGroup) {
    const QuantGroup group = get_group(packed, output, k / kGroup);
    const bool signed_weights = packed.format != WeightFormat::q4;
    const float* const scales = packed.scales(output / kPanel);
    const float scale = scales != nullptr ? scales[output % kPanel] : to_float(group.scale);
    const float min = signed_weights ? 0 : to_float(group.min);
    const int offset = signed_weights ? kQ8Offset : 0;
    for (std::int64_t i = 0; i < std::min<std::int64_t>(kGroup, packed.in - k); i++) {
      const float product = scale * float(int(group.q[i]) - offset);
      y[k + i] = signed_weights ? product : product + min;  // -0 stays what it is
    }
  }
}

}  // namespace cpu
}  // namespace chiasm::kernels
