#pragma once
/// The one packed layout of a weight matrix [out, in] that every CPU path reads, and that files of
/// `chiasm quantize` hold: whoever changes the bytes renames packed_layout().
///
/// Outputs are cut into panels of 32 (the last one of 16 or 32, padded with zeros). Inside a panel
/// the inputs follow one another, and at each input stand the weights of the panel's outputs: 16
/// outputs are the 16 lanes of a vector, so no sum ever crosses lanes, one row and many rows add in
/// the same order, and one row streams a panel from its first byte to its last.
///   f32, f16:  [panel][in][width]
///   bf16:      [panel][ceil(in / 2)][width][2]    pairs of inputs, as VDPBF16PS takes them
///   q8, q8_rows, q4:  [panel][ceil(in / 32)][width / 16][block]    groups of 16 outputs,
///              quant_layout.h; q8_rows ends each panel with [width] float32 scales
///   q5_1, q2_k ... q4_128:  [panel][in / block][width / 16][unit]    block_form.h
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/cpu/block_form.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/quant_layout.h"
#include "kernels/matrix.h"

namespace chiasm::kernels {

struct Matrix::Packed {
  struct Free {
    Free() : owned(true) {}
    explicit Free(bool is_owned) : owned(is_owned) {}
    bool owned;  // false: the bytes are a file's
    void operator()(std::byte* p) const;
  };

  WeightFormat format = WeightFormat::f32;
  std::int64_t out = 0, in = 0;
  std::size_t bytes = 0;
  std::unique_ptr<std::byte, Free> data;
  std::vector<std::int32_t> order;  // which input stands at each place; empty: as they are

  bool quantized() const {
    return format == WeightFormat::q8 || format == WeightFormat::q8_rows ||
           format == WeightFormat::q4;
  }

  /// How a format's blocks lie that are widened on their way; none of other formats.
  std::optional<cpu::BlockForm> form() const {
    switch (format) {
      case WeightFormat::q5_1:
        return cpu::BlockForm::q5_1;
      case WeightFormat::q2_k:
        return cpu::BlockForm::q2_k;
      case WeightFormat::q3_k:
        return cpu::BlockForm::q3_k;
      case WeightFormat::q4_k:
        return cpu::BlockForm::q4_k;
      case WeightFormat::q5_k:
        return cpu::BlockForm::q5_k;
      case WeightFormat::q6_k:
        return cpu::BlockForm::q6_k;
      case WeightFormat::q4_32:
        return cpu::BlockForm::q4_32;
      case WeightFormat::q4_128:
        return cpu::BlockForm::q4_128;
      default:
        return std::nullopt;
    }
  }

  /// Sets `out`, `in`, `format` and `bytes`. ShapeError for sizes of no matrix.
  void set_sizes(std::int64_t outputs, std::int64_t inputs, WeightFormat weight_format);

  /// Inputs that stand together, and the bytes that 16 outputs of them take.
  std::int64_t unit_inputs() const {
    if (const auto blocks = form()) return cpu::traits_of(*blocks).inputs;
    return quantized() ? cpu::kGroup : format == WeightFormat::bf16 ? 2 : 1;
  }
  std::int64_t unit_bytes() const {
    if (const auto blocks = form()) return cpu::layout_of(cpu::traits_of(*blocks)).bytes;
    if (format == WeightFormat::q8) return cpu::kQ8Block;
    if (format == WeightFormat::q8_rows) return cpu::kQ8RowsBlock;
    if (format == WeightFormat::q4) return cpu::kQ4Block;
    return cpu::kLanes * unit_inputs() * (format == WeightFormat::f32 ? 4 : 2);
  }
  /// Inputs with padding.
  std::int64_t padded_in() const {
    return (in + unit_inputs() - 1) / unit_inputs() * unit_inputs();
  }
  /// Bytes of the first `inputs` inputs (whole units) of a panel.
  std::int64_t panel_bytes(std::int64_t panel_width, std::int64_t inputs) const {
    return panel_width / cpu::kLanes * (inputs / unit_inputs()) * unit_bytes();
  }
  std::int64_t panels() const { return (out + cpu::kPanel - 1) / cpu::kPanel; }
  /// Outputs of a panel, padding included: 16 or 32.
  std::int64_t width(std::int64_t panel) const {
    return out - panel * cpu::kPanel > cpu::kLanes ? cpu::kPanel : cpu::kLanes;
  }
  /// Bytes of scales behind a panel's weights.
  std::int64_t scale_bytes(std::int64_t panel_width) const {
    return format == WeightFormat::q8_rows ? panel_width * std::int64_t(sizeof(float)) : 0;
  }
  const std::byte* panel(std::int64_t index) const {
    return data.get() + index * (panel_bytes(cpu::kPanel, padded_in()) + scale_bytes(cpu::kPanel));
  }
  /// The scales of a panel's outputs, or null.
  const float* scales(std::int64_t index) const {
    if (format != WeightFormat::q8_rows) return nullptr;
    return reinterpret_cast<const float*>(panel(index) + panel_bytes(width(index), padded_in()));
  }
  /// Where the weight of an output (counted inside its panel) and an input stands, in elements from
  /// the panel's begin. Not for quantized formats.
  std::int64_t offset(std::int64_t panel_width, std::int64_t output, std::int64_t input) const {
    if (format != WeightFormat::bf16) return input * panel_width + output;
    return (input / 2 * panel_width + output) * 2 + input % 2;
  }
};

}  // namespace chiasm::kernels
