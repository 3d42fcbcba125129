#pragma once
/// The oracle of attention: the formula as it stands, in double.
#include "kernels/attention.h"

namespace chiasm::kernels::reference {

/// As kernels::attention with arguments already checked.
void attention(const AttentionShape& shape, TensorView<const float> q, const KeyValues& kv,
               std::span<const AttentionSequence> sequences,
               std::span<const std::int32_t> first_key, std::span<const std::int32_t> last_key,
               TensorView<float> out);

}  // namespace chiasm::kernels::reference
