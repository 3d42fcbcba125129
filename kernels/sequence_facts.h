#pragma once
/// What can be told beforehand of the sequences of an attention call, and of what its rows see.
#include <cstdint>
#include <span>

#include "core/device_calls.h"
#include "kernels/attention.h"

namespace chiasm::kernels {

/// `first_key` and `last_key` as of attention; `pages`: all page numbers, of paged keys. A mask is
/// full or causal only where every row sees a key.
device::SequenceFacts sequence_facts(std::span<const AttentionSequence> sequences,
                                     std::span<const std::int32_t> first_key,
                                     std::span<const std::int32_t> last_key,
                                     std::span<const std::int32_t> pages);

}  // namespace chiasm::kernels
