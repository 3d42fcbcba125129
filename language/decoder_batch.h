#pragma once
/// A batch of rows from many sequences, and where each row belongs.
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "kernels/attention.h"
#include "language/decoder_config.h"
#include "language/kv_cache.h"

namespace chiasm::language {

struct AttentionWatch;
struct CrossMemory;

/// Consecutive rows of one sequence in a batch: a whole prompt, a chunk of one, or one new token.
struct BatchPart {
  SequenceState* state = nullptr;  // rows continue after state->length()
  std::int64_t rows = 0;
  /// What turns the rows: [axes][rows], axes as DecoderConfig::position_axes. Empty: each row's
  /// place in its sequence, on every axis.
  std::span<const std::int32_t> positions = {};
  /// Each row sees the keys before this one, [rows]; those of the whole part are there. Empty: the
  /// row's own key is the last that it sees.
  std::span<const std::int32_t> last_key = {};
  /// The first row of the span that a row belongs to, as a place in the sequence, [rows]; -1: none.
  /// In sliding layers a row sees its span from there on, however long it is. Empty: no spans.
  std::span<const std::int32_t> span_begin = {};
  /// What the rows look at besides each other, in decoders with an encoder. Null: nothing.
  const CrossMemory* cross = nullptr;
  /// Whether the whole sequence is longer than RopeFrequencies::short_length. All of its parts are
  /// turned alike: one that outgrows the length is computed again from its beginning.
  bool is_long = false;
};

/// Rows that get something added after the first layers (qwen3_vl's deepstack): after layer i,
/// x[rows[j], :] += features[j, i * hidden ...], for as many layers as features hold.
struct DeepRows {
  std::vector<std::int64_t> rows;      // of the batch
  TensorView<const float> features{};  // [rows, layers * hidden]
};

/// Where the rows of a batch belong, laid out once for all layers.
struct DecoderBatch {
  /// What differs between layers that see all keys and layers that slide.
  struct Reach {
    std::vector<std::int32_t> first_key;  // [rows]
    TensorView<float> cosine, sine;       // [rows, rotary dimensions / 2]
  };

  std::vector<kernels::AttentionSequence> sequences;
  std::vector<std::int32_t> position;  // [axes][rows]
  std::vector<std::int32_t> last_key;  // [rows]
  std::vector<std::int64_t> slot;      // [rows], where keys and values are written
  Reach full, sliding;
  std::vector<const CrossMemory*> cross;  // [sequences]
  std::vector<std::span<float>> fixed;    // [sequences], where states have any
  AttentionWatch* watch = nullptr;        // hears what the rows attend to; null: nobody asks

  /// Makes room in the states for the parts' rows. ShapeError for parts that do not agree with
  /// their number of rows. The angles lie in `arena`.
  static DecoderBatch lay_out(const Context& ctx, const DecoderConfig& config,
                              std::span<const BatchPart> parts, Arena& arena);
};

}  // namespace chiasm::language
