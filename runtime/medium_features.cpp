#include "runtime/medium_features.h"

#include <utility>

#include "runtime/encoding.h"

namespace chiasm {

Tensor medium_features(const Family& family, const Context& ctx, const PlacedMedium& medium,
                       const AllLimits& limits, std::int64_t patches_per_step) {
  EncodingMedium encoding;
  prepare_pieces(family, ctx, medium, limits, encoding);
  Arena arena;
  for (bool ends = medium.layout.pieces.empty(); !ends;) {
    EncoderLoad load;
    const EncoderPart part = next_pieces(medium, encoding, load, patches_per_step);
    family.encode(ctx, piece_refs({&part, 1}), arena,
                  encoding.features.view<float>().slice_rows(encoding.rows_done, part.rows));
    ends = move_on(part);
  }
  return family.assemble(ctx, medium, std::move(encoding.features));
}

}  // namespace chiasm
