#include "runtime/encoding.h"

#include <algorithm>
#include <utility>

namespace chiasm {

void prepare_pieces(const Family& family, const Context& ctx, const PlacedMedium& placed,
                    const AllLimits& limits, EncodingMedium& medium) {
  if (placed.sound || placed.window) {
    medium.sound = prepare_sound(family, ctx, placed, limits.sounds);
  } else {
    medium.prepared = prepare(family, ctx, placed, limits.pictures);
  }
  medium.features = float_tensor({placed.layout.rows(), family.feature_width()});
}

EncoderPart next_pieces(const PlacedMedium& placed, EncodingMedium& medium, EncoderLoad& load,
                        std::int64_t patches_per_call) {
  EncoderPart part{&placed, &medium, 0, 0};
  const auto& pieces = placed.layout.pieces;
  for (auto i = std::size_t(medium.pieces_done); i < pieces.size(); i++) {
    const bool fits = load.patches + pieces[i].patches <= patches_per_call;
    if (!fits && load.patches > 0) break;
    load.patches += pieces[i].patches;
    load.rows += pieces[i].rows;
    part.pieces++;
    part.rows += pieces[i].rows;
  }
  return part;
}

std::vector<PieceRef> piece_refs(std::span<const EncoderPart> parts) {
  std::vector<PieceRef> out;
  for (const EncoderPart& part : parts) {
    const EncodingMedium& medium = *part.medium;
    for (std::int64_t i = 0; i < part.pieces; i++) {
      out.push_back({medium.prepared ? &*medium.prepared : nullptr, medium.pieces_done + i,
                     medium.sound ? &*medium.sound : nullptr});
    }
  }
  return out;
}

void encode_pieces(const Family& family, const Context& ctx, Arena& arena,
                   std::span<const EncoderPart> parts) {
  std::int64_t rows = 0;
  for (const EncoderPart& part : parts) rows += part.rows;
  const std::int64_t width = family.feature_width();
  Arena::Frame frame(arena);
  const auto encoded = arena.floats({rows, width}, "media rows");
  family.encode(ctx, piece_refs(parts), arena, encoded);
  std::int64_t row = 0;
  for (const EncoderPart& part : parts) {
    float* const to = part.medium->features.view<float>().row(part.medium->rows_done);
    std::copy_n(encoded.row(row), part.rows * width, to);
    row += part.rows;
  }
}

bool move_on(const EncoderPart& part) {
  part.medium->pieces_done += part.pieces;
  part.medium->rows_done += part.rows;
  return part.medium->pieces_done == std::int64_t(part.placed->layout.pieces.size());
}

std::shared_ptr<const Tensor> assembled(const Family& family, const Context& ctx,
                                        const EncoderPart& part) {
  auto rows = std::make_shared<const Tensor>(
      family.assemble(ctx, *part.placed, std::move(part.medium->features)));
  rows->view<float>().expect({part.placed->layout.tokens, family.feature_width()});
  return rows;
}

std::shared_ptr<const language::CrossMemory> remembered(const Family& family, const Context& ctx,
                                                        Arena& arena, const EncoderPart& part,
                                                        DType dtype) {
  return std::make_shared<const language::CrossMemory>(
      family.decoder().remember(ctx, part.medium->features.view<float>(), dtype, arena));
}

}  // namespace chiasm
