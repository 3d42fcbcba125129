#pragma once
/// Filling and reading the quantized form of a Matrix.
#include <cstdint>
#include <span>

#include "kernels/cpu/file_block.h"
#include "kernels/cpu/packed.h"
#include "kernels/grouped.h"

namespace chiasm::kernels::cpu {

/// Quantizes the rows of one panel into `packed` (a quantized format, memory taken). `importance`
/// of each input, or empty.
void quantize_panel(const Matrix::Packed& packed, std::span<const WeightRows> parts,
                    std::int64_t panel, std::span<const float> importance);
/// Copies the blocks of one panel into `packed`, value for value.
void pack_block_panel(const Matrix::Packed& packed, std::span<const BlockRows> parts,
                      std::int64_t panel);
/// The same for the block forms, bit for bit as in the file.
void pack_form_panel(const Matrix::Packed& packed, std::span<const BlockRows> parts,
                     std::int64_t panel);
/// Outputs of GPTQ and AWQ, likewise.
void pack_grouped_panel(const Matrix::Packed& packed, std::span<const GroupedWeight> parts,
                        std::int64_t panel);
/// The numbers of one block of an output, as they were packed.
void read_form_block(const Matrix::Packed& packed, std::int64_t output, std::int64_t block,
                     FileBlock& out);
/// One output of a block form as float32, inputs as they are packed.
void widen_form_row(const Matrix::Packed& packed, std::int64_t output, float* y);
/// y[0..in) = scale * q + min of one output, each product and sum rounded once.
void widen_quant_row(const Matrix::Packed& packed, std::int64_t output, float* y);

}  // namespace chiasm::kernels::cpu
