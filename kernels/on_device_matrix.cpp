// From the CPU's packed weights to the device's rows.
#include <bit>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/pack_quant.h"
#include "kernels/on_device.h"

namespace chiasm::kernels::on_device {

namespace {

constexpr std::int64_t kUnit = 8;  // inputs that a lane reads

/// A matrix as the device keeps it: [out][padded], then what MatrixRef points to besides, in its
/// order.
struct Rows {
  std::int64_t padded = 0;
  std::vector<std::byte> data;
  std::vector<std::uint16_t> scales, minima;
  std::vector<float> wide_scales, wide_minima;
  std::vector<std::int8_t> group_scales;
  std::vector<std::uint8_t> group_minima;
};

std::int64_t rounded(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

template <class Number, class Narrow>
Rows plain_rows(const Matrix& w, const Narrow& narrow) {
  Rows rows;
  rows.padded = rounded(w.in(), kUnit);
  rows.data.resize(std::size_t(w.out() * rows.padded) * sizeof(Number));
  auto* const out = reinterpret_cast<Number*>(rows.data.data());
  std::vector<float> row(std::size_t(w.in()));
  for (std::int64_t o = 0; o < w.out(); o++) {
    w.row(o, row.data());
    for (std::int64_t i = 0; i < w.in(); i++)
      out[o * rows.padded + i] = narrow(row[std::size_t(i)]);
  }
  return rows;
}

/// The block of an output and a group of inputs, and the output's lane in it (quant_layout.h).
struct Block {
  const std::byte* data;
  std::int64_t lane;
};
Block block_of(const Matrix::Packed& p, std::int64_t output, std::int64_t group) {
  const std::int64_t panel = output / cpu::kPanel, in_panel = output % cpu::kPanel;
  const std::int64_t across = p.width(panel) / cpu::kLanes;
  const std::int64_t at = group * across + in_panel / cpu::kLanes;
  return {p.panel(panel) + at * p.unit_bytes(), in_panel % cpu::kLanes};
}

std::uint16_t half_at(const Block& block, int offset) {
  std::uint16_t bits;
  std::memcpy(&bits, block.data + offset + block.lane * 2, sizeof bits);
  return bits;
}

/// Of q8 and of q8_rows.
Rows q8_rows_of(const Matrix::Packed& p) {
  Rows rows;
  rows.padded = rounded(p.in, cpu::kGroup);
  for (std::int64_t o = 0; o < p.out; o++) {
    for (std::int64_t g = 0; g < rows.padded / cpu::kGroup; g++) {
      const Block block = block_of(p, o, g);
      for (std::int64_t i = 0; i < cpu::kGroup; i++) {
        const auto q = int(block.data[(i / 4 * cpu::kLanes + block.lane) * 4 + i % 4]);
        rows.data.push_back(std::byte(q - cpu::kQ8Offset));
      }
      if (p.format == WeightFormat::q8) rows.scales.push_back(half_at(block, cpu::kQ8Scales));
    }
    if (p.format == WeightFormat::q8_rows) {
      rows.wide_scales.push_back(p.scales(o / cpu::kPanel)[o % cpu::kPanel]);
    }
  }
  return rows;
}

Rows q4_rows_of(const Matrix::Packed& p) {
  Rows rows;
  rows.padded = rounded(p.in, cpu::kGroup);
  for (std::int64_t o = 0; o < p.out; o++) {
    for (std::int64_t g = 0; g < rows.padded / cpu::kGroup; g++) {
      const Block block = block_of(p, o, g);
      const auto number = [&](std::int64_t i) {
        const auto byte = unsigned(block.data[(i / 8 * cpu::kLanes + block.lane) * 4 + i % 4]);
        return i % 8 < 4 ? byte & 15u : byte >> 4;
      };
      for (std::int64_t i = 0; i < cpu::kGroup; i += 2) {
        rows.data.push_back(std::byte(number(i) | number(i + 1) << 4));
      }
      rows.scales.push_back(half_at(block, cpu::kQ4Scales));
      rows.minima.push_back(half_at(block, cpu::kQ4Minima));
    }
  }
  return rows;
}

Rows block_rows_of(const Matrix::Packed& p, bool nibbles) {
  const cpu::BlockTraits t = cpu::traits_of(*p.form());
  Rows rows;
  rows.padded = p.in;
  cpu::FileBlock block{};
  for (std::int64_t o = 0; o < p.out; o++) {
    for (std::int64_t b = 0; b < p.in / t.inputs; b++) {
      cpu::read_form_block(p, o, b, block);
      for (int i = 0; i < t.inputs; i += nibbles ? 2 : 1) {
        rows.data.push_back(nibbles ? std::byte(block.q[i] | block.q[i + 1] << 4)
                                    : std::byte(block.q[i]));
      }
      rows.wide_scales.push_back(block.scale);
      if (t.minima) rows.wide_minima.push_back(block.minimum);
      for (int g = 0; t.scales != cpu::GroupScales::none && g < t.inputs / t.group; g++) {
        rows.group_scales.push_back(block.scales[g]);
        if (t.minima) rows.group_minima.push_back(block.minima[g]);
      }
    }
  }
  return rows;
}

device::Format format_of(const Matrix& w) {
  switch (w.format()) {
    case WeightFormat::f32:
      return device::Format::f32;
    case WeightFormat::bf16:
      return device::Format::bf16;
    case WeightFormat::f16:
      return device::Format::f16;
    case WeightFormat::q8:
      return device::Format::q8;
    case WeightFormat::q4:
      return device::Format::q4;
    case WeightFormat::q8_rows:
      return device::Format::q8_rows;
    case WeightFormat::q5_1:
    case WeightFormat::q5_k:
    case WeightFormat::q6_k:
      return device::Format::blocks8;
    case WeightFormat::q2_k:
    case WeightFormat::q3_k:
    case WeightFormat::q4_k:
    case WeightFormat::q4_32:
    case WeightFormat::q4_128:
      return device::Format::blocks4;
  }
  fail<DeviceError>("weights as ", format_name(w.format()), " do not run on a device");
}

Rows rows_of(const Matrix& w, device::Format format) {
  switch (format) {
    case device::Format::f32:
      return plain_rows<float>(w, [](float v) { return v; });
    case device::Format::bf16:
      return plain_rows<bf16>(w, [](float v) { return to_bf16(v); });
    case device::Format::f16:
      return plain_rows<f16>(w, [](float v) { return to_f16(v); });
    case device::Format::q8:
    case device::Format::q8_rows:
      return q8_rows_of(w.packed());
    case device::Format::q4:
      return q4_rows_of(w.packed());
    case device::Format::blocks8:
    case device::Format::blocks4:
      return block_rows_of(w.packed(), format == device::Format::blocks4);
  }
  return {};
}

/// What describes the rows, all but their memory.
device::MatrixRef described(const Matrix& w) {
  device::MatrixRef out;
  out.format = format_of(w);
  out.out = w.out();
  out.in = w.in();
  out.padded = rounded(w.in(), w.packed().quantized() ? cpu::kGroup : kUnit);
  if (const auto form = w.packed().form()) {
    const cpu::BlockTraits t = cpu::traits_of(*form);
    out.block_shift = std::countr_zero(unsigned(t.inputs));
    out.group_shift = std::countr_zero(unsigned(t.group));
    out.offset = t.offset;
  }
  return out;
}

/// Points to the parts behind the numbers, in the order in which `matrix` joins them. Counts are
/// such that each begins where its numbers may.
void point_to_parts(const Matrix& w, const std::byte* memory, device::MatrixRef& out) {
  out.data = memory;
  const std::int64_t numbers = out.out * out.padded;
  const bool halves = out.format == device::Format::q4 || out.format == device::Format::blocks4;
  const std::byte* at = memory + (halves ? numbers / 2 : numbers);
  const auto next = [&](auto*& part, std::int64_t count) {
    part = reinterpret_cast<std::remove_reference_t<decltype(part)>>(at);
    at += count * std::int64_t(sizeof *part);
  };
  const bool grouped = out.format == device::Format::q8 || out.format == device::Format::q4;
  if (grouped) next(out.scales, numbers / cpu::kGroup);
  if (out.format == device::Format::q4) next(out.minima, numbers / cpu::kGroup);
  if (out.format == device::Format::q8_rows) next(out.wide_scales, out.out);
  const auto form = w.packed().form();
  if (!form) return;
  const cpu::BlockTraits t = cpu::traits_of(*form);
  next(out.wide_scales, numbers / t.inputs);
  if (t.minima) next(out.wide_minima, numbers / t.inputs);
  if (t.scales == cpu::GroupScales::none) return;
  next(out.group_scales, numbers / t.group);
  if (t.minima) next(out.group_minima, numbers / t.group);
}

}  // namespace

device::MatrixRef matrix(Device& device, const Matrix& w) {
  device::MatrixRef out = described(w);
  const void* const key = w.data().data();
  const std::byte* memory = device.known_constant(key);
  if (memory == nullptr) {
    Rows rows = rows_of(w, out.format);
    const auto append = [&](const auto& more) {
      const auto bytes = std::as_bytes(std::span(more));
      rows.data.insert(rows.data.end(), bytes.begin(), bytes.end());
    };
    append(rows.scales);
    append(rows.minima);
    append(rows.wide_scales);
    append(rows.wide_minima);
    append(rows.group_scales);
    append(rows.group_minima);
    memory = device.constant(key, rows.data);
  }
  point_to_parts(w, memory, out);
  const auto& order = w.packed().order;
  if (!order.empty()) {
    out.order = reinterpret_cast<const std::int32_t*>(
        device.constant(order.data(), order.size() * sizeof order[0]));
  }
  return out;
}

}  // namespace chiasm::kernels::on_device
