// Filling and reading matrices of the block forms.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/block_form_inl.h"
#include "kernels/cpu/file_block.h"
#include "kernels/cpu/pack_quant.h"

namespace chiasm::kernels::cpu {

namespace {

// The lane of one output in the unit of a block.
struct Lane {
  std::uint8_t* unit;
  int index;
};

Lane lane_of(const Matrix::Packed& packed, std::int64_t output, std::int64_t block) {
  const std::int64_t panel = output / kPanel, vectors = packed.width(panel) / kFormLanes;
  const std::int64_t unit = block * vectors + output % kPanel / kFormLanes;
  auto* const begin = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(packed.panel(panel)));
  return {begin + unit * packed.unit_bytes(), int(output % kFormLanes)};
}

// Puts the low `planes` bits of q at their places in a step of zeros.
void put_bits(std::uint8_t* step, int planes, int input, int lane, int q) {
  if ((planes & 4) != 0) {
    step[input % 16 * kFormLanes + lane] |= std::uint8_t((q & 15) << input / 16 * 4);
    step += 16 * kFormLanes;
    q >>= 4;
  }
  if ((planes & 2) != 0) {
    step[input % 8 * kFormLanes + lane] |= std::uint8_t((q & 3) << input / 8 * 2);
    step += 8 * kFormLanes;
    q >>= 2;
  }
  if ((planes & 1) != 0) {
    step[input % 4 * kFormLanes + lane] |= std::uint8_t((q & 1) << input / 4);
  }
}

void put_block(const Lane& at, const BlockTraits& t, const FileBlock& block) {
  const BlockLayout l = layout_of(t);
  std::memcpy(at.unit + at.index * 4, &block.scale, sizeof(float));
  if (t.minima) std::memcpy(at.unit + l.minima + at.index * 4, &block.minimum, sizeof(float));
  for (int g = 0; t.scales != GroupScales::none && g < t.inputs / t.group; g++) {
    const int row = g * kFormLanes + at.index;
    const auto scale = std::uint8_t(block.scales[g]);
    if (t.scales == GroupScales::nibbles) {
      at.unit[l.group_minima + row] = std::uint8_t(scale | block.minima[g] << 4);
      continue;
    }
    at.unit[l.group_scales + row] = scale;
    if (t.minima) at.unit[l.group_minima + row] = block.minima[g];
  }
  for (int i = 0; i < t.inputs; i++) {
    put_bits(at.unit + l.steps + i / kFormStep * l.step_bytes, t.bits, i % kFormStep, at.index,
             block.q[i]);
  }
}

template <BlockForm kForm>
void get_block(const Lane& at, FileBlock& block) {
  constexpr BlockTraits t = traits_of(kForm);
  constexpr BlockLayout l = layout_of(t);
  std::memcpy(&block.scale, at.unit + at.index * 4, sizeof(float));
  if (t.minima) std::memcpy(&block.minimum, at.unit + l.minima + at.index * 4, sizeof(float));
  for (int g = 0; t.scales != GroupScales::none && g < t.inputs / t.group; g++) {
    const int row = g * kFormLanes + at.index;
    const std::uint8_t minimum = t.minima ? at.unit[l.group_minima + row] : std::uint8_t(0);
    if (t.scales == GroupScales::nibbles) {
      block.scales[g] = std::int8_t(minimum & 15);
      block.minima[g] = std::uint8_t(minimum >> 4);
    } else {
      block.scales[g] = std::int8_t(at.unit[l.group_scales + row]);
      block.minima[g] = minimum;
    }
  }
  for (int i = 0; i < t.inputs; i++) {
    const std::uint8_t* const step = at.unit + l.steps + i / kFormStep * l.step_bytes;
    block.q[i] = std::uint8_t(bits_at<t.bits>(step, i % kFormStep, at.index));
  }
}

template <BlockForm kForm>
void widen_row(const Matrix::Packed& packed, std::int64_t output, float* y) {
  constexpr BlockTraits t = traits_of(kForm);
  constexpr BlockLayout l = layout_of(t);
  constexpr int kTogether = std::min(t.group, kFormStep);
  for (std::int64_t k = 0; k < packed.in; k += kTogether) {
    const Lane at = lane_of(packed, output, k / t.inputs);
    const int inside = int(k % t.inputs);
    float scale[kFormLanes], minimum[kFormLanes];
    group_factors<kForm>(at.unit, inside / t.group, at.index, at.index + 1, scale, minimum);
    const std::uint8_t* const bits = at.unit + l.steps + inside / kFormStep * l.step_bytes;
    for (int i = 0; i < kTogether; i++) {
      const float q = float(bits_at<t.bits>(bits, inside % kFormStep + i, at.index) - t.offset) *
                      scale[at.index];
      y[k + i] = t.minima ? q - minimum[at.index] : q;
    }
  }
}

std::int64_t rows_of(const BlockRows& part) { return part.rows; }
std::int64_t rows_of(const GroupedWeight& part) { return part.out; }

// Calls put(part, row of the part, output) for the panel's outputs.
template <class Part, class Put>
void each_output(const Matrix::Packed& packed, std::span<const Part> parts, std::int64_t panel,
                 const Put& put) {
  const std::int64_t first = panel * kPanel, end = std::min(first + kPanel, packed.out);
  // Outputs that do not exist are zeros: they are multiplied, but never stored.
  std::memset(const_cast<std::byte*>(packed.panel(panel)), 0,
              std::size_t(packed.panel_bytes(packed.width(panel), packed.in)));
  std::int64_t row = first;
  const Part* part = parts.data();
  for (std::int64_t output = first; output < end; output++, row++) {
    while (row >= rows_of(*part)) row -= rows_of(*part++);
    put(*part, row, output);
  }
}

}  // namespace

void pack_form_panel(const Matrix::Packed& packed, std::span<const BlockRows> parts,
                     std::int64_t panel) {
  const BlockTraits t = traits_of(*packed.form());
  FileBlock block{};
  each_output(
      packed, parts, panel, [&](const BlockRows& part, std::int64_t row, std::int64_t output) {
        const auto bytes = std::int64_t(block_bytes(part.type));
        const std::int64_t blocks = packed.in / t.inputs;
        const std::byte* from = part.data + interleaved_row(row, part.interleaved) * blocks * bytes;
        for (std::int64_t b = 0; b < blocks; b++, from += bytes) {
          read_block(part.type, from, block);
          put_block(lane_of(packed, output, b), t, block);
        }
      });
}

void pack_grouped_panel(const Matrix::Packed& packed, std::span<const GroupedWeight> parts,
                        std::int64_t panel) {
  const BlockTraits t = traits_of(*packed.form());
  FileBlock block{};
  each_output(packed, parts, panel,
              [&](const GroupedWeight& part, std::int64_t row, std::int64_t output) {
                for (std::int64_t b = 0; b < packed.in / t.inputs; b++) {
                  const std::int64_t first = b * t.inputs, group = first / part.group;
                  block.scale = part.scale(row, group);
                  block.minimum = block.scale * float(part.zero(row, group));
                  for (std::int64_t i = 0; i < t.inputs; i++) {
                    const std::int64_t input =
                        part.order.empty() ? first + i : part.order[std::size_t(first + i)];
                    block.q[i] = std::uint8_t(part.weight(row, input));
                  }
                  put_block(lane_of(packed, output, b), t, block);
                }
              });
}

namespace {

/// Calls work with the form as a constant.
template <class Work>
void with_form(BlockForm form, Work&& work) {
  switch (form) {
    case BlockForm::q5_1:
      return work.template operator()<BlockForm::q5_1>();
    case BlockForm::q2_k:
      return work.template operator()<BlockForm::q2_k>();
    case BlockForm::q3_k:
      return work.template operator()<BlockForm::q3_k>();
    case BlockForm::q4_k:
      return work.template operator()<BlockForm::q4_k>();
    case BlockForm::q5_k:
      return work.template operator()<BlockForm::q5_k>();
    case BlockForm::q6_k:
      return work.template operator()<BlockForm::q6_k>();
    case BlockForm::q4_32:
      return work.template operator()<BlockForm::q4_32>();
    case BlockForm::q4_128:
      return work.template operator()<BlockForm::q4_128>();
  }
}

}  // namespace

void read_form_block(const Matrix::Packed& packed, std::int64_t output, std::int64_t block,
                     FileBlock& out) {
  with_form(*packed.form(),
            [&]<BlockForm kForm>() { get_block<kForm>(lane_of(packed, output, block), out); });
}

void widen_form_row(const Matrix::Packed& packed, std::int64_t output, float* y) {
  with_form(*packed.form(), [&]<BlockForm kForm>() { widen_row<kForm>(packed, output, y); });
}

}  // namespace chiasm::kernels::cpu
