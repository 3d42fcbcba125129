#include "runtime/mrope.h"

#include <algorithm>

namespace chiasm {

Arrangement grid_positions(const Prompt& prompt) {
  Arrangement out;
  if (prompt.media.empty()) return out;
  const std::size_t rows = prompt.ids.size();
  out.axes = 3;
  out.positions.resize(3 * rows);
  std::int32_t at = 0;
  auto medium = prompt.media.begin();
  std::size_t inside = 0;  // rows of the medium that have passed
  for (std::size_t row = 0; row < rows; row++) {
    std::array<std::int32_t, 3> place{at, at, at};
    if (medium != prompt.media.end() && medium->rows[inside] == std::int32_t(row)) {
      const MediumLayout& layout = medium->layout;
      const auto [t, h, w] = layout.grid;
      const auto index = std::int64_t(inside++);
      const std::int64_t step = layout.steps_apart ? 0 : index / (h * w);
      place[0] += std::int32_t(float(step) * layout.time_step);
      place[1] += std::int32_t(index / w % h);
      place[2] += std::int32_t(index % w);
      const bool ended = inside == medium->rows.size();
      if (ended || (layout.steps_apart && (index + 1) % (h * w) == 0)) {
        at += std::int32_t(std::max(h, w));
      }
      if (ended) {
        ++medium;
        inside = 0;
      }
    } else {
      at++;
    }
    for (std::size_t axis = 0; axis < 3; axis++) out.positions[axis * rows + row] = place[axis];
  }
  out.next = *std::ranges::max_element(out.positions) + 1;
  return out;
}

}  // namespace chiasm
