#include "runtime/part_rows.h"

namespace chiasm {

PartRows part_rows(const Arrangement& a, std::int64_t first, std::int64_t count) {
  PartRows out;
  if (!a.positions.empty()) {
    // An answer to score stands behind the prompt that was arranged.
    const std::int64_t length = std::int64_t(a.positions.size()) / a.axes;
    for (std::int64_t axis = 0; axis < a.axes; axis++) {
      for (std::int64_t row = first; row < first + count; row++) {
        out.positions.push_back(row < length ? a.positions[std::size_t(axis * length + row)]
                                             : a.next + std::int32_t(row - length));
      }
    }
  }
  if (a.spans.empty() || first >= a.spans.back().end) return out;
  auto span = a.spans.begin();
  for (std::int64_t row = first; row < first + count; row++) {
    while (span != a.spans.end() && span->end <= row) ++span;
    const bool inside = span != a.spans.end() && span->begin <= row;
    out.last_key.push_back(std::int32_t(inside ? span->end : row + 1));
    if (a.whole_spans) out.span_begin.push_back(inside ? std::int32_t(span->begin) : -1);
  }
  return out;
}

}  // namespace chiasm
