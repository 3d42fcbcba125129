/// Mistral 3: a Pixtral encoder over pictures of any shape, neighbours merged, an MLP, a decoder;
/// each row of a picture's tokens ends in a break.
/// Source: transformers' Mistral3ForConditionalGeneration, PixtralProcessor.
#include <string>

#include "core/staged.h"
#include "projector/mlp.h"
#include "projector/square_merger.h"
#include "runtime/family.h"
#include "runtime/scopes.h"
#include "runtime/vit_parts.h"
#include "vision/pixtral.h"
#include "vision/pixtral_processor.h"

namespace chiasm {

namespace {

/// The encoder up to the layer whose output is taken.
vision::PixtralConfig tower(const Json& config) {
  vision::PixtralConfig c = vision::PixtralConfig::from_json(config["vision_config"]);
  std::int64_t chosen = -1;
  if (config.has("vision_feature_layer")) {
    const Json layer = config["vision_feature_layer"];
    chosen = layer.is_array() && layer.size() == 1 ? layer[0].integer() : layer.integer();
  }
  const std::int64_t layers = c.blocks.layers;
  const std::int64_t from_front = chosen < 0 ? layers + 1 + chosen : chosen;
  if (from_front < 1 || from_front > layers) {
    fail<ModelError>(config.where(), ": vision_feature_layer ", chosen, " of ", layers,
                     " layers is not supported");
  }
  c.blocks.layers = from_front;
  return c;
}

std::int64_t merge_of(const Json& config) {
  return vision::bounded(config, "spatial_merge_size", 2, 1, 16);
}

class Mistral3 : public Family {
 public:
  explicit Mistral3(const FamilyParts& p)
      : Mistral3(p, language::DecoderConfig::from_json(p.config["text_config"], "mistral"),
                 TextScopes::find(p.weights),
                 find_scope(p.weights, {"multi_modal_projector", "model.multi_modal_projector"},
                            "linear_1.weight")) {}

  Mistral3(const FamilyParts& p, const language::DecoderConfig& text, const TextScopes& scopes,
           const Weights& projector)
      : processor_(vision::PixtralProcessor::load(p.folder)),
        encoder_(p.ctx, tower(p.config), find_tower(p.weights, "patch_conv.weight"),
                 p.formats.vision, p.formats.plain),
        norm_(projector, "norm", encoder_.config().blocks.hidden_size,
              {kernels::NormKind::rms, text.norm.eps}),
        merger_(p.ctx, projector.scope("patch_merger"), encoder_.config().blocks.hidden_size,
                merge_of(p.config), p.formats.vision),
        mlp_(p.ctx, projector,
             {encoder_.config().blocks.hidden_size, text.hidden_size, text.hidden_size}, {},
             p.config.boolean("multimodal_projector_bias", false),
             kernels::activation_from_name(p.config.str("projector_hidden_act", "gelu")),
             p.formats.vision),
        decoder_(p.ctx, text, scopes.model, scopes.head, tied(p, scopes), p.formats.text),
        image_token_(std::int32_t(
            p.config.integer("image_token_index", p.config.integer("image_token_id", 10)))),
        placeholder_(p.tokenizer.token_text(image_token_)),
        begin_(begin_text(p.tokenizer)) {
    const Json settings = vision::processor_settings(p.folder);
    break_ = settings.str("image_break_token", "[IMG_BREAK]");
    end_ = settings.str("image_end_token", "[IMG_END]");
    const std::int64_t token = encoder_.config().patch_size * merger_.side();
    if (processor_.token() != token) {
      fail<ModelError>(p.folder.string(), ": the processor makes tokens of ", processor_.token(),
                       " pixels, the model of ", token);
    }
    const std::int64_t layers = encoder_.config().blocks.layers;
    p.weights.finish([&](std::string_view name) {
      constexpr std::string_view kLayers = "transformer.layers.";
      const auto at = name.find(kLayers);
      const bool later = at != std::string_view::npos &&
                         std::stoll(std::string(name.substr(at + kLayers.size()))) >= layers;
      return later || is_unread(name) || (tied(p, scopes) && name.ends_with("lm_head.weight"));
    });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::string_view placeholder() const override { return placeholder_; }
  std::optional<std::int32_t> image_token() const override { return image_token_; }
  std::size_t weight_bytes() const override {
    return encoder_.bytes() + norm_.bytes() + merger_.bytes() + mlp_.bytes() + decoder_.bytes();
  }

  /// Of the largest picture.
  void describe(ModelInfo& info) const override {
    const vision::PixtralConfig& c = encoder_.config();
    const std::int64_t side = c.image_size / c.patch_size;
    info.family = "mistral3";
    info.image_token = placeholder_;
    info.vision_hidden_size = c.blocks.hidden_size;
    info.vision_layers = c.blocks.layers;
    info.image_size = c.image_size;
    info.patches_per_tile = side * side;
    info.tokens_per_tile = side * side / (merger_.side() * merger_.side());
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    const auto [rows, cols] = processor_.layout(width, height);
    MediumLayout out;
    out.tokens = rows * cols;
    out.pieces = {Piece{out.tokens * merger_.side() * merger_.side(), out.tokens}};
    const vision::PictureSize size = processor_.resized(width, height);
    out.bytes = size.height * size.width * 3;
    for (std::int64_t i = 0; i < rows; i++) {
      for (std::int64_t j = 0; j < cols; j++) out.expansion += placeholder_;
      out.expansion += i + 1 < rows ? break_ : end_;
    }
    return out;
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t) const override {
    const auto [rows, cols] = processor_.layout(width, height);
    PictureTiles out(width, height);
    out.add_tile(Region::whole(out.size()), processor_.resized(width, height), rows, cols);
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout&) const override {
    return processor_(ctx, image);
  }

  std::vector<NamedTensor> processor_output(const Prepared& picture) const override {
    std::vector<NamedTensor> out;
    out.push_back(pixel_values(picture));
    out.push_back({"image_sizes", Tensor(DType::i64, {1, 2})});
    std::int64_t* size = out.back().values.view<std::int64_t>().data();
    size[0] = picture.tile(0).height;
    size[1] = picture.tile(0).width;
    return out;
  }

  bool runs_on_device() const override { return true; }

  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& host,
              TensorView<float> out) const override {
    const std::int64_t dim = encoder_.config().blocks.hidden_size;
    const std::int64_t patch = encoder_.config().patch_size, side = merger_.side();
    std::vector<vision::VitTile> tiles;
    std::vector<projector::PatchGrid> grids;
    for (const PieceRef& piece : pieces) {
      const vision::Tile& tile = piece.medium->tile(piece.index);
      tiles.push_back({piece.medium, piece.index});
      grids.push_back({tile.height / patch, tile.width / patch});
    }
    const Pass pass(ctx, host);
    Arena& arena = pass.arena();
    const auto rows = unwritten(ctx, out, arena);
    const auto x = arena.floats({out.rows() * side * side, dim}, "x");
    const auto merged = arena.floats({out.rows(), dim}, "merged");
    encoder_.forward(ctx, tiles, arena, x);
    norm_(ctx, x, x);
    ctx.show("vision.out", x);
    merger_.forward(ctx, x, grids, arena, merged);
    mlp_.forward(ctx, merged, arena, rows);
    ctx.show("projector.out", rows);
    bring_back(ctx, rows, out);
  }

  std::int64_t piece_macs(const Piece& piece) const override {
    return encoder_.tile_macs(piece.patches) + piece.rows * (merger_.macs() + mlp_.macs());
  }

  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    const std::int64_t patch = encoder_.config().blocks.hidden_size + encoder_.scratch_per_row();
    const auto& sizes = mlp_.sizes();
    const std::int64_t row =
        sizes.in + merger_.scratch_per_row() + mlp_.scratch_per_row() + sizes.out;
    return std::size_t(patches * patch + rows * row) * sizeof(float);
  }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& media) const override {
    std::string before = begin_ + "[INST]";
    for (std::size_t i = 0; i < media.pictures; i++) before += placeholder_;
    return std::vector<PromptSpan>{{before, true}, {words, false}, {"[/INST]", true}};
  }

 private:
  /// Published folders leave the key out and have a head of their own.
  static bool tied(const FamilyParts& p, const TextScopes& scopes) {
    return p.config.boolean("tie_word_embeddings", !scopes.head.has("lm_head.weight"));
  }

  vision::PixtralProcessor processor_;
  vision::PixtralEncoder encoder_;
  kernels::NormLayer norm_;
  projector::SquareMerger merger_;
  projector::MlpProjector mlp_;
  language::Decoder decoder_;
  std::int32_t image_token_;
  std::string placeholder_, begin_, break_, end_;
};

}  // namespace

std::unique_ptr<Family> make_mistral3(const FamilyParts& parts) {
  return std::make_unique<Mistral3>(parts);
}

}  // namespace chiasm
