#pragma once
/// Positions and visible keys of consecutive rows of a prompt, as the decoder takes them.
#include <cstdint>
#include <vector>

#include "runtime/family.h"

namespace chiasm {

/// What a language::BatchPart looks into. Empty where the decoder's own are right.
struct PartRows {
  std::vector<std::int32_t> positions;             // [axes][rows]
  std::vector<std::int32_t> last_key, span_begin;  // [rows]
};

/// Of rows [first, first + count) of a sequence whose prompt is so arranged.
PartRows part_rows(const Arrangement& arrangement, std::int64_t first, std::int64_t count);

}  // namespace chiasm
