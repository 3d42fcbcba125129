#pragma once
/// Small things that all families with a plain vision transformer do alike.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "language/tokenizer.h"
#include "runtime/family.h"
#include "vision/vit.h"

namespace chiasm {

/// The encoder's part of `info`. `tokens`: of one tile.
void describe_vit(const vision::VitEncoder& encoder, std::int64_t tokens, ModelInfo& info);

/// Adds the `count` tokens of the last tile, which shows `region`: side x side in reading order,
/// behind class rows, which show no place.
void add_vit_tokens(PictureTiles& tiles, const Region& region, std::int64_t count,
                    std::int64_t side);

/// The pieces as the encoder takes them.
std::vector<vision::VitTile> vit_tiles(std::span<const PieceRef> pieces);

/// The text of the token that prompts begin with; empty where the tokenizer names none.
std::string begin_text(const language::Tokenizer& tokenizer);

}  // namespace chiasm
