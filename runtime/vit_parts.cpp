#include "runtime/vit_parts.h"

namespace chiasm {

void describe_vit(const vision::VitEncoder& encoder, std::int64_t tokens, ModelInfo& info) {
  const vision::VitConfig& c = encoder.config();
  info.vision_hidden_size = c.blocks.hidden_size;
  info.vision_layers = c.blocks.layers;
  info.image_size = c.image_size;
  info.patches_per_tile = c.rows();
  info.tokens_per_tile = tokens;
}

void add_vit_tokens(PictureTiles& tiles, const Region& region, std::int64_t count,
                    std::int64_t side) {
  const auto tile = std::int64_t(tiles.tiles.size()) - 1;
  for (std::int64_t i = side * side; i < count; i++) tiles.add_token(tile, {});
  for (std::int64_t row = 0; row < side; row++) {
    for (std::int64_t col = 0; col < side; col++) {
      tiles.add_token(tile, region.cell(double(row), double(col), double(side), double(side)));
    }
  }
}

std::vector<vision::VitTile> vit_tiles(std::span<const PieceRef> pieces) {
  std::vector<vision::VitTile> tiles;
  for (const PieceRef& piece : pieces) tiles.push_back({piece.medium, piece.index});
  return tiles;
}

std::string begin_text(const language::Tokenizer& tokenizer) {
  const auto begin = tokenizer.bos_token();
  return begin ? std::string(tokenizer.token_text(*begin)) : std::string();
}

}  // namespace chiasm
