// What a request takes, told before it runs.
#include <algorithm>

#include "runtime/draft.h"
#include "runtime/encoder_lane.h"
#include "runtime/engine.h"

namespace chiasm {

std::size_t Engine::step_bytes(const EncoderLoad& load, std::int64_t rows) const {
  const auto& c = family_.decoder().config();
  const auto decoder =
      std::size_t(rows * (c.hidden_size + c.scratch_floats()) + c.vocab_size + c.hidden_size) *
      sizeof(float);
  const std::size_t encoder = load.patches > 0 ? family_.encode_bytes(load.patches, load.rows) : 0;
  return lane_ ? decoder + encoder : std::max(decoder, encoder);  // a lane's memory is its own
}

std::int64_t Engine::draft_bytes(const Sequence& sequence) const {
  if (draft_ == nullptr) return 0;
  const std::int64_t guesses = drafted_tokens(sequence);
  return draft_->weight_bytes() + (guesses > 0 ? draft_->request_bytes(sequence, guesses) : 0);
}

std::int64_t Engine::adapter_bytes(const Lora& adapter, const Prompt& prompt) const {
  const auto& c = family_.decoder().config();
  const std::int64_t floats = adapter.weights.largest_rank() + 2 * c.intermediate_size;
  return largest_batch(prompt) * floats * std::int64_t(sizeof(float));
}

EncoderLoad Engine::largest_load(const Prompt& prompt) const {
  EncoderLoad all;
  std::int64_t largest = options_.patches_per_step;
  for (const PlacedMedium& medium : prompt.media) {
    all.patches += medium.layout.patches();
    all.rows += medium.layout.rows();
    for (const Piece& piece : medium.layout.pieces) largest = std::max(largest, piece.patches);
  }
  const std::int64_t patches = std::min(all.patches, largest);
  return {patches, std::min(all.rows, patches)};
}

std::int64_t Engine::largest_batch(const Prompt& prompt) const {
  std::int64_t rows = options_.prefill_rows;
  for (const auto& span : prompt.arrangement.spans) rows = std::max(rows, span.end - span.begin);
  return std::min(rows, std::int64_t(prompt.ids.size()));
}

}  // namespace chiasm
