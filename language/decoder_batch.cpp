#include "language/decoder_batch.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/rope.h"

namespace chiasm::language {

namespace {

void check(const BatchPart& part, std::int64_t axes) {
  const auto fits = [&](std::span<const std::int32_t> given, std::int64_t per_row) {
    return given.empty() || std::int64_t(given.size()) == per_row * part.rows;
  };
  if (fits(part.positions, axes) && fits(part.last_key, 1) && fits(part.span_begin, 1)) return;
  fail<ShapeError>("a part of ", part.rows, " rows has ", part.positions.size(), " positions on ",
                   axes, " axes, ", part.last_key.size(), " last keys and ", part.span_begin.size(),
                   " spans");
}

/// Rows of one part.
void place(const BatchPart& part, std::int64_t begin, const DecoderConfig& config,
           DecoderBatch& batch) {
  const std::int64_t window = config.sliding_window;
  SequenceState& state = *part.state;
  const std::int64_t past = state.length();
  state.reserve(past + part.rows);
  batch.sequences.push_back({begin, part.rows, past + part.rows, 0, state.pages().data()});
  batch.cross.push_back(part.cross);
  if (config.keeps_state()) batch.fixed.push_back(state.fixed());
  for (std::int64_t r = 0; r < part.rows; r++) {
    const std::int64_t i = past + r;
    batch.slot.push_back(state.slot(i));
    batch.last_key.push_back(part.last_key.empty() ? std::int32_t(i + 1)
                                                   : part.last_key[std::size_t(r)]);
    batch.full.first_key.push_back(0);
    if (window == 0) continue;
    auto first = std::int32_t(std::max<std::int64_t>(0, i - window + 1));
    if (!part.span_begin.empty() && part.span_begin[std::size_t(r)] >= 0) {
      first = std::min(first, part.span_begin[std::size_t(r)]);
    }
    batch.sliding.first_key.push_back(first);
  }
}

/// [axes][rows of all parts]
std::vector<std::int32_t> positions_of(std::span<const BatchPart> parts, std::int64_t axes) {
  std::vector<std::int32_t> out;
  for (std::int64_t a = 0; a < axes; a++) {
    for (const BatchPart& part : parts) {
      for (std::int64_t r = 0; r < part.rows; r++) {
        out.push_back(part.positions.empty() ? std::int32_t(part.state->length() + r)
                                             : part.positions[std::size_t(a * part.rows + r)]);
      }
    }
  }
  return out;
}

void turn(const Context& ctx, const RopeFrequencies& rope, const DecoderBatch& batch,
          std::span<const BatchPart> parts, Arena& arena, DecoderBatch::Reach& reach) {
  const auto half = std::int64_t(rope.inv_freq.size()), rows = std::int64_t(batch.slot.size());
  reach.cosine = arena.floats({rows, half}, "cosine");
  reach.sine = arena.floats({rows, half}, "sine");
  if (rope.long_inv_freq.empty()) {
    return kernels::rotary_table(ctx, batch.position, rope.inv_freq, rope.axis,
                                 rope.attention_scaling, reach.cosine, reach.sine);
  }
  for (std::size_t i = 0; i < parts.size(); i++) {  // one axis: positions lie row by row
    const kernels::AttentionSequence& own = batch.sequences[i];
    const auto& inv_freq = parts[i].is_long ? rope.long_inv_freq : rope.inv_freq;
    kernels::rotary_table(ctx, {batch.position.data() + own.q_begin, std::size_t(own.q_count)},
                          inv_freq, {}, rope.attention_scaling,
                          reach.cosine.slice_rows(own.q_begin, own.q_count),
                          reach.sine.slice_rows(own.q_begin, own.q_count));
  }
}

}  // namespace

DecoderBatch DecoderBatch::lay_out(const Context& ctx, const DecoderConfig& config,
                                   std::span<const BatchPart> parts, Arena& arena) {
  const std::int64_t axes = config.position_axes();
  DecoderBatch batch;
  std::int64_t rows = 0;
  for (const BatchPart& part : parts) {
    check(part, axes);
    place(part, rows, config, batch);
    rows += part.rows;
  }
  batch.position = positions_of(parts, axes);
  if (config.rope.inv_freq.empty()) return batch;
  turn(ctx, config.rope, batch, parts, arena, batch.full);
  if (config.sliding_rope) {
    turn(ctx, *config.sliding_rope, batch, parts, arena, batch.sliding);
  } else {
    batch.sliding.cosine = batch.full.cosine;
    batch.sliding.sine = batch.full.sine;
  }
  return batch;
}

}  // namespace chiasm::language
