// From the CPU's packed weights to the device's rows.
#include <bit>
#include <cstring>

#include "kernels/cpu/packed.h"
#include "kernels/on_device.h"

namespace chiasm::kernels::on_device {

namespace {

constexpr std::int64_t kUnit = 8;  // inputs that a lane reads

/// A matrix as the device keeps it: [out][padded], then scales and minima.
struct Rows {
  std::int64_t padded = 0;
  std::vector<std::byte> data;
  std::vector<std::uint16_t> scales, minima;
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
      rows.scales.push_back(half_at(block, cpu::kQ8Scales));
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
    case WeightFormat::q5_1:
    case WeightFormat::q2_k:
    case WeightFormat::q3_k:
    case WeightFormat::q4_k:
    case WeightFormat::q5_k:
    case WeightFormat::q6_k:
    case WeightFormat::q4_32:
    case WeightFormat::q4_128:
      break;
  }
  fail<DeviceError>("weights as ", format_name(w.format()), " do not run on a device yet");
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
      return q8_rows_of(w.packed());
    case device::Format::q4:
      return q4_rows_of(w.packed());
  }
  return {};
}

}  // namespace

device::MatrixRef matrix(Device& device, const Matrix& w) {
  const device::Format format = format_of(w);
  const bool quantized = format == device::Format::q8 || format == device::Format::q4;
  device::MatrixRef out;
  out.format = format;
  out.out = w.out();
  out.in = w.in();
  out.padded = rounded(w.in(), quantized ? cpu::kGroup : kUnit);
  const void* const key = w.data().data();
  const std::byte* memory = device.known_constant(key);
  if (memory == nullptr) {
    Rows rows = rows_of(w, format);
    const auto append = [&](const std::vector<std::uint16_t>& more) {
      const auto bytes = std::as_bytes(std::span(more));
      rows.data.insert(rows.data.end(), bytes.begin(), bytes.end());
    };
    append(rows.scales);
    append(rows.minima);
    memory = device.constant(key, rows.data);
  }
  out.data = memory;
  if (!quantized) return out;
  const std::int64_t numbers = out.out * out.padded;
  const std::int64_t bytes = format == device::Format::q8 ? numbers : numbers / 2;
  out.scales = reinterpret_cast<const std::uint16_t*>(memory + bytes);
  if (format == device::Format::q4) out.minima = out.scales + numbers / cpu::kGroup;
  return out;
}

}  // namespace chiasm::kernels::on_device
