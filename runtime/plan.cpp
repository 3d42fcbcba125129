// What a request takes, told before it runs.
#include <algorithm>

#include "runtime/engine.h"

namespace chiasm {

std::size_t Engine::step_bytes(std::int64_t tiles, std::int64_t rows) const {
  const auto& c = family_.decoder().config();
  const std::int64_t batch = std::min(rows, options_.prefill_rows);
  const std::int64_t per_row = c.hidden_size + c.scratch_floats();
  const auto decoder = std::size_t(batch * per_row + c.vocab_size + c.hidden_size) * sizeof(float);
  const std::int64_t piece = std::min(tiles, options_.tiles_per_step);
  return std::max(decoder, piece > 0 ? family_.encode_bytes(piece) : 0);
}

}  // namespace chiasm
