/// LLaVA: a CLIP or SigLIP encoder, an MLP projector, a decoder of any kind.
/// Source: transformers' LlavaForConditionalGeneration, LlavaProcessor; Liu et al., 2023,
/// arXiv:2310.03744.
#include <algorithm>
#include <string>

#include "projector/mlp.h"
#include "runtime/family.h"
#include "runtime/scopes.h"
#include "vision/plain_processor.h"
#include "vision/vit.h"

namespace chiasm {

namespace {

/// Which hidden states the projector takes: 0 is what enters the first layer, n what leaves layer
/// n - 1.
std::vector<std::int64_t> feature_layers(const Json& config, std::int64_t layers) {
  std::vector<std::int64_t> out{config.has("vision_feature_layer") ? 0 : -2};
  if (config.has("vision_feature_layer")) {
    const Json chosen = config["vision_feature_layer"];
    out = chosen.is_array() ? chosen.integers() : std::vector<std::int64_t>{chosen.integer()};
  }
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

/// The encoder up to the last layer that the projector takes.
vision::VitConfig tower(const Json& config) {
  vision::VitConfig c = vision::VitConfig::from_json(config["vision_config"], "clip_vision_model");
  const auto layers = feature_layers(config, c.blocks.layers);
  c.blocks.layers = *std::max_element(layers.begin(), layers.end());
  c.post_norm = false;  // features are taken before it
  return c;
}

class Llava : public Family {
 public:
  explicit Llava(const FamilyParts& p)
      : Llava(p, language::DecoderConfig::from_json(p.config["text_config"]),
              TextScopes::find(p.weights)) {}

  Llava(const FamilyParts& p, const language::DecoderConfig& text, const TextScopes& scopes)
      : processor_(vision::PlainProcessor::load(p.folder, vision::PlainKind::llava)),
        taken_(feature_layers(p.config, vision_layers(p.config))),
        keeps_class_row_(p.config.str("vision_feature_select_strategy", "default") == "full"),
        encoder_(p.ctx, tower(p.config),
                 find_scope(p.weights,
                            {"vision_tower.vision_model", "vision_tower",
                             "model.vision_tower.vision_model", "model.vision_tower"},
                            "embeddings.patch_embedding.weight"),
                 p.formats.vision, p.formats.plain),
        projector_(p.ctx,
                   find_scope(p.weights, {"multi_modal_projector", "model.multi_modal_projector"},
                              "linear_1.weight"),
                   {std::int64_t(taken_.size()) * encoder_.config().blocks.hidden_size,
                    text.hidden_size, text.hidden_size},
                   {}, p.config.boolean("multimodal_projector_bias", true),
                   kernels::activation_from_name(p.config.str("projector_hidden_act", "gelu")),
                   p.formats.vision),
        decoder_(p.ctx, text, scopes.model, scopes.head, tied(p, text), p.formats.text),
        image_token_(image_token_id(p.config)),
        placeholder_(p.tokenizer.token_text(image_token_)),
        begin_(p.tokenizer.bos_token() ? p.tokenizer.token_text(*p.tokenizer.bos_token()) : "") {
    const auto& c = encoder_.config();
    dropped_ = c.class_token && !keeps_class_row_ ? 1 : 0;
    tokens_ = c.rows() - dropped_;
    const std::string unread = "encoder.layers.";
    p.weights.finish([&](std::string_view name) {
      const auto at = name.find(unread);
      const bool later_layer =
          at != std::string_view::npos && name.starts_with(tower_scope(name)) &&
          std::stoll(std::string(name.substr(at + unread.size()))) >= c.blocks.layers;
      return later_layer || name.find("post_layernorm.") != std::string_view::npos ||
             name.ends_with("rotary_emb.inv_freq") || name.ends_with("position_ids") ||
             name.find("vision_model.head.") != std::string_view::npos ||
             (tied(p, text) && name.ends_with("lm_head.weight"));
    });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::string_view placeholder() const override { return placeholder_; }
  std::optional<std::int32_t> image_token() const override { return image_token_; }
  std::size_t weight_bytes() const override {
    return encoder_.bytes() + projector_.bytes() + decoder_.bytes();
  }

  void describe(ModelInfo& info) const override {
    const auto& c = encoder_.config();
    info.family = "llava";
    info.image_token = placeholder_;
    info.vision_hidden_size = c.blocks.hidden_size;
    info.vision_layers = c.blocks.layers;
    info.image_size = c.image_size;
    info.patches_per_tile = c.rows();
    info.tokens_per_tile = tokens_;
    const auto& sizes = projector_.sizes();
    info.work.tile_macs = encoder_.tile_macs() + tokens_ * sizes.hidden * (sizes.in + sizes.out);
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileLayout tiles = processor_.layout(width, height);
    MediumLayout out;
    out.pieces = {Piece{encoder_.config().rows(), tokens_}};
    out.tokens = tokens_;
    out.bytes = tiles.tiles[0].height * tiles.tiles[0].width * 3;
    for (std::int64_t i = 0; i < tokens_; i++) out.expansion += placeholder_;
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout&) const override {
    return processor_(ctx, image);
  }

  std::vector<NamedTensor> processor_output(const Prepared& picture) const override {
    std::vector<NamedTensor> out;
    out.push_back(pixel_values(picture));
    return out;
  }

  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& arena,
              TensorView<float> out) const override {
    const std::int64_t dim = encoder_.config().blocks.hidden_size, rows = encoder_.config().rows();
    const auto count = std::int64_t(pieces.size());
    Arena::Frame frame(arena);
    const auto features = arena.floats({count * tokens_, projector_.sizes().in}, "features");
    const auto x = arena.floats({count * rows, dim}, "x");
    std::vector<vision::VitTile> tiles;
    for (const PieceRef& piece : pieces) tiles.push_back({piece.medium, piece.index});
    encoder_.forward(ctx, tiles, arena, x, [&](std::int64_t layer, TensorView<const float> state) {
      for (std::size_t i = 0; i < taken_.size(); i++) {
        if (taken_[i] != layer + 1) continue;
        for (std::int64_t row = 0; row < count * tokens_; row++) {
          const std::int64_t tile = row / tokens_, place = row % tokens_;
          std::copy_n(state.row(tile * rows + dropped_ + place), dim,
                      features.row(row) + std::int64_t(i) * dim);
        }
      }
    });
    ctx.show("vision.out", features);
    projector_.forward(ctx, features, arena, out);
    ctx.show("projector.out", out);
  }

  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    const std::int64_t patch = encoder_.config().blocks.hidden_size + encoder_.scratch_per_row();
    const auto& sizes = projector_.sizes();
    return std::size_t(patches * patch + rows * (sizes.in + sizes.hidden + sizes.out)) *
           sizeof(float);
  }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              std::size_t pictures) const override {
    std::string before = begin_ + "USER: ";
    for (std::size_t i = 0; i < pictures; i++) before += placeholder_ + "\n";
    return std::vector<PromptSpan>{{before, true}, {words, false}, {" ASSISTANT:", true}};
  }

 private:
  static std::int64_t vision_layers(const Json& config) {
    return vision::VitConfig::from_json(config["vision_config"], "clip_vision_model").blocks.layers;
  }
  static std::string_view tower_scope(std::string_view name) {
    return name.starts_with("model.") ? "model.vision_tower" : "vision_tower";
  }
  static bool tied(const FamilyParts& p, const language::DecoderConfig& text) {
    return p.config.boolean("tie_word_embeddings", text.tied);
  }
  static std::int32_t image_token_id(const Json& config) {
    return std::int32_t(config.has("image_token_index") ? config["image_token_index"].integer()
                                                        : config["image_token_id"].integer());
  }

  vision::PlainProcessor processor_;
  std::vector<std::int64_t> taken_;  // hidden states that the projector takes side by side
  bool keeps_class_row_;
  vision::VitEncoder encoder_;
  projector::MlpProjector projector_;
  language::Decoder decoder_;
  std::int32_t image_token_;
  std::string placeholder_, begin_;
  std::int64_t dropped_ = 0, tokens_ = 0;  // rows of a tile that are not, and that are, taken
};

}  // namespace

std::unique_ptr<Family> make_llava(const FamilyParts& parts) {
  return std::make_unique<Llava>(parts);
}

}  // namespace chiasm
