#pragma once
/// Media on their way through an encoder, some pieces in each call: between the engine's steps
/// (engine_media.cpp), beside them (encoder_lane.h), or alone (medium_features.h).
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "runtime/family.h"
#include "runtime/sequence.h"

namespace chiasm {

/// What one call of the encoder takes.
struct EncoderLoad {
  std::int64_t patches = 0, rows = 0;
};

/// Pieces of one medium that the next call of the encoder takes.
struct EncoderPart {
  const PlacedMedium* placed;
  EncodingMedium* medium;
  std::int64_t pieces, rows;
};

/// Decodes a medium and cuts it into pieces, and makes room for their rows. MediaError for what
/// cannot be read, Interrupted as ctx.interrupted says.
void prepare_pieces(const Family& family, const Context& ctx, const PlacedMedium& placed,
                    const AllLimits& limits, EncodingMedium& medium);

/// A medium's next pieces, as many as there is room for beside `load`, which grows by them: one at
/// least in an empty call, perhaps none in another.
EncoderPart next_pieces(const PlacedMedium& placed, EncodingMedium& medium, EncoderLoad& load,
                        std::int64_t patches_per_call);

std::vector<PieceRef> piece_refs(std::span<const EncoderPart> parts);

/// One packed call of the encoder, whose rows are copied to their media's features. `arena` has
/// room for them and for the encoder's own.
void encode_pieces(const Family& family, const Context& ctx, Arena& arena,
                   std::span<const EncoderPart> parts);

/// Moves a medium on by the pieces just encoded; true after its last one.
bool move_on(const EncoderPart& part);

/// What the prompt's rows take of a medium whose pieces are all encoded: [tokens, feature_width].
std::shared_ptr<const Tensor> assembled(const Family& family, const Context& ctx,
                                        const EncoderPart& part);

/// What a decoder looks at instead, where it does.
std::shared_ptr<const language::CrossMemory> remembered(const Family& family, const Context& ctx,
                                                        Arena& arena, const EncoderPart& part,
                                                        DType dtype);

}  // namespace chiasm
