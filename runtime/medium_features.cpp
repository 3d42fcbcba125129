#include "runtime/medium_features.h"

#include <optional>
#include <utility>

namespace chiasm {

Tensor medium_features(const Family& family, const Context& ctx, const PlacedMedium& medium,
                       const AllLimits& limits, std::int64_t patches_per_step) {
  std::optional<Prepared> seen;
  std::optional<audio::PreparedSound> heard;
  if (medium.kind() == MediumKind::sound) {
    heard = prepare_sound(family, ctx, medium, limits.sounds);
  } else {
    seen = prepare(family, ctx, medium, limits.pictures);
  }
  Tensor features = float_tensor({medium.layout.rows(), family.feature_width()});
  Arena arena;
  std::int64_t row = 0;
  for (std::size_t next = 0; next < medium.layout.pieces.size();) {
    std::vector<PieceRef> pieces;
    std::int64_t patches = 0, rows = 0;
    do {
      const Piece& piece = medium.layout.pieces[next];
      patches += piece.patches;
      rows += piece.rows;
      pieces.push_back({seen ? &*seen : nullptr, std::int64_t(next++), heard ? &*heard : nullptr});
    } while (next < medium.layout.pieces.size() &&
             patches + medium.layout.pieces[next].patches <= patches_per_step);
    family.encode(ctx, pieces, arena, features.view<float>().slice_rows(row, rows));
    row += rows;
  }
  return family.assemble(ctx, medium, std::move(features));
}

}  // namespace chiasm
