#include "runtime/vit_family.h"

#include <algorithm>
#include <charconv>

#include "core/staged.h"
#include "kernels/embed.h"
#include "runtime/vit_parts.h"

namespace chiasm {

namespace {

std::vector<std::int64_t> feature_layers(const Json& config, std::int64_t layers,
                                         std::int64_t otherwise) {
  std::vector<std::int64_t> out{otherwise};
  if (config.has("vision_feature_layer")) {
    const Json chosen = config["vision_feature_layer"];
    out = chosen.is_array() ? chosen.integers() : std::vector<std::int64_t>{chosen.integer()};
  }
  if (out.empty()) fail<ModelError>(config.where(), ".vision_feature_layer: is empty");
  for (std::int64_t& layer : out) {
    const std::int64_t from_front = layer < 0 ? layers + 1 + layer : layer;
    if (from_front < 1 || from_front > layers) {
      fail<ModelError>(config.where(), ": vision_feature_layer ", layer, " of ", layers,
                       " layers is not supported");
    }
    layer = from_front;
  }
  return out;
}

bool tied(const FamilyParts& p, const language::DecoderConfig& text) {
  return p.config.boolean("tie_word_embeddings", text.tied);
}

std::int32_t image_token_id(const Json& config) {
  return std::int32_t(config.has("image_token_index") ? config["image_token_index"].integer()
                                                      : config["image_token_id"].integer());
}

/// The number after `before` in a tensor's name; -1 where there is none.
std::int64_t number_after(std::string_view name, std::string_view before) {
  const auto at = name.find(before);
  if (at == std::string_view::npos) return -1;
  std::int64_t number = -1;
  const std::string_view rest = name.substr(at + before.size());
  std::from_chars(rest.data(), rest.data() + rest.size(), number);
  return number;
}

}  // namespace

VitTower VitTower::read(const Json& config, const VitFamilyOptions& options) {
  VitTower tower;
  tower.config = vision::VitConfig::from_json(config["vision_config"], options.vision_type);
  const std::int64_t all = tower.config.blocks.layers;
  tower.taken = feature_layers(config, all, options.feature_layer);
  tower.config.blocks.layers = *std::max_element(tower.taken.begin(), tower.taken.end());
  const bool last_alone = tower.taken == std::vector<std::int64_t>{all};
  tower.config.post_norm &= options.last_is_normed && last_alone;
  return tower;
}

VitFamily::VitFamily(const FamilyParts& p, const VitFamilyOptions& options)
    : VitFamily(p, options, VitTower::read(p.config, options),
                language::DecoderConfig::from_json(p.config["text_config"]),
                TextScopes::find(p.weights)) {}

VitFamily::VitFamily(const FamilyParts& p, const VitFamilyOptions& options, const VitTower& tower,
                     const language::DecoderConfig& text, const TextScopes& scopes)
    : options_(options),
      taken_(tower.taken),
      keeps_class_row_(
          p.config.str("vision_feature_select_strategy", std::string(options.select)) == "full"),
      tied_(tied(p, text)),
      encoder_(p.ctx, tower.config,
               find_tower(p.weights, std::string(tower.config.patch_embedding) + ".weight"),
               p.formats.vision, p.formats.plain),
      projector_(p.ctx,
                 find_scope(p.weights, {"multi_modal_projector", "model.multi_modal_projector"},
                            "linear_1.weight"),
                 {std::int64_t(taken_.size()) * tower.config.blocks.hidden_size * options.joined *
                      options.joined,
                  text.hidden_size, text.hidden_size},
                 options.projector, p.config.boolean("multimodal_projector_bias", true),
                 kernels::activation_from_name(p.config.str("projector_hidden_act", "gelu")),
                 p.formats.vision),
      decoder_(p.ctx, text, scopes.model, scopes.head, tied_, p.formats.text),
      image_token_(image_token_id(p.config)),
      placeholder_(p.tokenizer.token_text(image_token_)),
      begin_(begin_text(p.tokenizer)) {
  const vision::VitConfig& c = encoder_.config();
  dropped_ = c.class_token && !keeps_class_row_ ? 1 : 0;
  kept_ = c.rows() - dropped_;
  tokens_ = kept_ / (options.joined * options.joined);
  const bool in_a_grid = options.joined > 1 || options.assembles;
  if (in_a_grid && (kept_ != c.side() * c.side() || c.side() % options.joined != 0)) {
    fail<ModelError>(p.config.where(), ": ", kept_, " rows of a tile of ", c.side(), " x ",
                     c.side(), " patches do not make a grid whose blocks of ", options.joined,
                     " x ", options.joined, " become tokens");
  }
}

void VitFamily::finish(const FamilyParts& p) const {
  const vision::VitConfig& c = encoder_.config();
  const std::string layers = "." + std::string(c.layers) + ".";
  const std::string last_norm = "." + std::string(c.post_norm_name) + ".";
  p.weights.finish([&](std::string_view name) {
    if (name.starts_with("vision_tower.") || name.starts_with("model.vision_tower.")) {
      return number_after(name, layers) >= c.blocks.layers ||  // after the last that is taken
             name.find(last_norm) != std::string_view::npos ||
             name.find(".head.") != std::string_view::npos || name.ends_with("position_ids");
    }
    return name.ends_with("rotary_emb.inv_freq") || (tied_ && name.ends_with("lm_head.weight"));
  });
}

std::size_t VitFamily::weight_bytes() const {
  return encoder_.bytes() + projector_.bytes() + decoder_.bytes();
}

void VitFamily::describe(ModelInfo& info) const {
  info.family = std::string(options_.name);
  info.image_token = placeholder_;
  describe_vit(encoder_, tokens_, info);
}

void VitFamily::add_tile(PictureTiles& tiles, const Region& region,
                         vision::PictureSize pixels) const {
  tiles.add_tile(region, pixels);
  add_vit_tokens(tiles, region, tokens_, side());
}

MediumLayout VitFamily::layout_of(const vision::TileLayout& tiles) const {
  MediumLayout out;
  for (const vision::PictureSize& tile : tiles.tiles) {
    out.pieces.push_back({encoder_.config().rows(), tokens_});
    out.tokens += tokens_;
    out.bytes += tile.height * tile.width * 3;
  }
  return out;
}

std::string VitFamily::image_tokens(std::int64_t count) const {
  std::string out;
  for (std::int64_t i = 0; i < count; i++) out += placeholder_;
  return out;
}

std::vector<NamedTensor> VitFamily::processor_output(const Prepared& picture) const {
  std::vector<NamedTensor> out;
  out.push_back(pixel_values(picture));
  return out;
}

// state: [tiles * rows, dim]; features: [tiles * kept, taken * dim].
void VitFamily::take(const Context& ctx, TensorView<const float> state, std::size_t column,
                     TensorView<float> features) const {
  const std::int64_t rows = encoder_.config().rows(), dim = state.cols();
  const auto columns = features.slice_cols(std::int64_t(column) * dim, dim);
  for (std::int64_t tile = 0; tile * rows < state.rows(); tile++) {
    kernels::move_rows(ctx, state.slice_rows(tile * rows + dropped_, kept_), {},
                       columns.slice_rows(tile * kept_, kept_));
  }
}

void VitFamily::encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& host,
                       TensorView<float> out) const {
  const vision::VitConfig& c = encoder_.config();
  const std::int64_t dim = c.blocks.hidden_size;
  const auto count = std::int64_t(pieces.size());
  const Pass pass(ctx, host);
  Arena& arena = pass.arena();
  const auto made = unwritten(ctx, out, arena);
  const auto features =
      arena.floats({count * kept_, std::int64_t(taken_.size()) * dim}, "features");
  {
    Arena::Frame inner(arena);
    const auto x = arena.floats({count * c.rows(), dim}, "x");
    const auto tiles = vit_tiles(pieces);
    const auto after_layer = [&](std::int64_t layer, TensorView<const float> state) {
      for (std::size_t i = 0; i < taken_.size(); i++) {
        if (taken_[i] == layer + 1 && !c.post_norm) take(ctx, state, i, features);
      }
    };
    encoder_.forward(ctx, tiles, arena, x, after_layer);
    if (c.post_norm) take(ctx, x, 0, features);
  }
  ctx.show("vision.out", features);
  if (options_.joined == 1) {
    projector_.forward(ctx, features, arena, made);
  } else {
    const auto joined = arena.floats({count * tokens_, projector_.sizes().in}, "joined");
    for (std::int64_t i = 0; i < count; i++) {
      kernels::pixel_shuffle(ctx, features.slice_rows(i * kept_, kept_), c.side(), c.side(),
                             options_.joined, joined.slice_rows(i * tokens_, tokens_));
    }
    projector_.forward(ctx, joined, arena, made);
  }
  if (!options_.assembles) ctx.show("projector.out", made);
  bring_back(ctx, made, out);
}

std::int64_t VitFamily::piece_macs(const Piece& piece) const {
  return encoder_.tile_macs() + piece.rows * projector_.macs();
}

std::size_t VitFamily::encode_bytes(std::int64_t patches, std::int64_t rows) const {
  const std::int64_t patch = encoder_.config().blocks.hidden_size + encoder_.scratch_per_row();
  const auto& sizes = projector_.sizes();
  const std::int64_t features = sizes.in * (options_.joined > 1 ? 2 : 1);
  return std::size_t(patches * patch +
                     rows * (features + projector_.scratch_per_row() + sizes.out)) *
         sizeof(float);
}

}  // namespace chiasm
