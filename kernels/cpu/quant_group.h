#pragma once
/// One group of 32 quantized weights, the form that every source of quantized weights goes through.
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/dtype.h"
#include "kernels/cpu/quant_layout.h"
#include "kernels/matrix.h"

namespace chiasm::kernels::cpu {

/// w = scale * q + min. For q8, q has kQ8Offset added and min is implied.
struct QuantGroup {
  std::uint8_t q[kGroup];
  f16 scale, min;
};

/// Quantizes 1 to kGroup weights; the rest of the group is as good as zero. Scale by the largest
/// magnitude. NaN makes the whole group NaN. ModelError for a scale beyond float16.
QuantGroup quantize_q8(std::span<const float> weights);
/// Likewise, by the range and by narrower ones refitted by least squares, whichever errs least.
/// `importance`: how much the squared error of each weight counts, finite and at least 0; empty:
/// all alike.
QuantGroup quantize_q4(std::span<const float> weights, std::span<const float> importance = {});

/// A block of a GGUF file, unchanged in value.
QuantGroup group_from_block(BlockType type, const std::byte* block);

}  // namespace chiasm::kernels::cpu
