/// LFM2-VL: a SigLIP 2 encoder over pictures and tiles in their own shapes, neighbours joined, a
/// normed MLP, a decoder of short convolutions and attention.
/// Source: transformers' Lfm2VlForConditionalGeneration, Lfm2VlProcessor.
#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/embed.h"
#include "projector/mlp.h"
#include "runtime/family.h"
#include "runtime/scopes.h"
#include "runtime/vit_parts.h"
#include "vision/lfm2_vl_processor.h"
#include "vision/siglip2.h"

namespace chiasm {

namespace {

class Lfm2Vl : public Family {
 public:
  explicit Lfm2Vl(const FamilyParts& p)
      : Lfm2Vl(p, language::DecoderConfig::from_json(p.config["text_config"], "lfm2"),
               TextScopes::find(p.weights)) {}

  Lfm2Vl(const FamilyParts& p, const language::DecoderConfig& text, const TextScopes& scopes)
      : processor_(vision::Lfm2VlProcessor::load(p.folder)),
        encoder_(p.ctx, vision::Siglip2Config::from_json(p.config["vision_config"]),
                 find_tower(p.weights), p.formats.vision, p.formats.plain),
        decoder_(p.ctx, text, scopes.model, scopes.head, tied(p.config), p.formats.text),
        image_token_(std::int32_t(
            p.config.integer("image_token_id", p.config.integer("image_token_index", 396)))),
        placeholder_(p.tokenizer.token_text(image_token_)),
        begin_(begin_text(p.tokenizer)) {
    check(p.config);
    const std::int64_t merge = processor_.merge();
    projector_ = {p.ctx,
                  find_scope(p.weights, {"model.multi_modal_projector", "multi_modal_projector"},
                             "linear_1.weight"),
                  {encoder_.config().blocks.hidden_size * merge * merge,
                   p.config.integer("projector_hidden_size", 2560), text.hidden_size},
                  {.norm = p.config.boolean("projector_use_layernorm", true) ? "layer_norm" : ""},
                  p.config.boolean("projector_bias", true),
                  kernels::activation_from_name(p.config.str("projector_hidden_act", "gelu")),
                  p.formats.vision};
    marks_ = vision::processor_settings(p.folder).boolean("use_image_special_tokens", true);
    const Json names = Json::load(p.folder / "tokenizer_config.json");
    start_ = names.str("image_start_token", "<|image_start|>");
    end_ = names.str("image_end_token", "<|image_end|>");
    whole_ = names.str("image_thumbnail_token", "<|img_thumbnail|>");
    p.weights.finish([&](std::string_view name) {
      return is_unread(name) || (tied(p.config) && name.ends_with("lm_head.weight"));
    });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::string_view placeholder() const override { return placeholder_; }
  std::optional<std::int32_t> image_token() const override { return image_token_; }
  std::size_t weight_bytes() const override {
    return encoder_.bytes() + projector_.bytes() + decoder_.bytes();
  }

  /// Of the largest piece.
  void describe(ModelInfo& info) const override {
    const std::int64_t patches = processor_.max_patches();
    info.family = "lfm2_vl";
    info.image_token = placeholder_;
    info.vision_hidden_size = encoder_.config().blocks.hidden_size;
    info.vision_layers = encoder_.config().blocks.layers;
    info.image_size = std::int64_t(std::sqrt(double(patches))) * processor_.patch();
    info.patches_per_tile = patches;
    info.tokens_per_tile = patches / (processor_.merge() * processor_.merge());
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileLayout cut = processor_.layout(width, height);
    MediumLayout out;
    for (const vision::PictureSize& tile : cut.tiles) {
      const auto [down, across] = processor_.patches(tile);
      out.pieces.push_back({down * across, processor_.tokens(tile)});
      out.tokens += out.pieces.back().rows;
      out.bytes += tile.height * tile.width * 3;
    }
    out.expansion = expansion(cut, out.pieces);
    return out;
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileLayout cut = processor_.layout(width, height);
    const std::int64_t merge = processor_.merge(), parts = cut.rows * cut.cols;
    PictureTiles out(width, height);
    const std::int64_t side = processor_.tile() / processor_.patch() / merge;
    out.add_grid(cut.rows, cut.cols, cut.tiles[0], side);
    if (std::int64_t(cut.tiles.size()) > parts) {
      const auto [down, across] = processor_.patches(cut.tiles.back());
      out.add_tile(Region::whole(out.size()), cut.tiles.back(), (down + merge - 1) / merge,
                   (across + merge - 1) / merge);
      out.tiles.back().overview = parts > 0;
    }
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout&) const override {
    return processor_(ctx, image);
  }

  std::vector<NamedTensor> processor_output(const Prepared& picture) const override {
    const std::int64_t n = picture.count(), rows = processor_.max_patches();
    const std::int64_t values = encoder_.config().patch_values();
    std::vector<NamedTensor> out;
    out.push_back({"pixel_values", float_tensor({n, rows, values})});
    out.push_back({"pixel_attention_mask", Tensor(DType::i64, {n, rows})});
    out.push_back({"spatial_shapes", Tensor(DType::i64, {n, 2})});
    float* const pixels = out[0].values.view<float>().data();
    std::int64_t* const mask = out[1].values.view<std::int64_t>().data();
    std::int64_t* const shapes = out[2].values.view<std::int64_t>().data();
    std::fill_n(pixels, n * rows * values, 0.0f);
    for (std::int64_t i = 0; i < n; i++) {
      const vision::GridSize grid = grid_of(picture.tile(i));
      processor_.write_patch_rows(picture, i, pixels + i * rows * values);
      for (std::int64_t r = 0; r < rows; r++) mask[i * rows + r] = r < grid.height * grid.width;
      shapes[2 * i] = grid.height;
      shapes[2 * i + 1] = grid.width;
    }
    return out;
  }

  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& arena,
              TensorView<float> out) const override {
    const std::int64_t merge = processor_.merge(), square = merge * merge;
    const std::int64_t rows = out.rows() * square;
    std::vector<vision::GridSize> grids;
    Arena::Frame frame(arena);
    const auto x = arena.floats({rows, encoder_.config().blocks.hidden_size}, "x");
    {
      Arena::Frame inner(arena);
      const auto patches = arena.floats({rows, encoder_.config().patch_values()}, "patches");
      std::int64_t row = 0;
      for (const PieceRef& piece : pieces) {
        grids.push_back(grid_of(piece.medium->tile(piece.index)));
        processor_.write_patch_rows(*piece.medium, piece.index, patches.row(row));
        row += grids.back().height * grids.back().width;
      }
      encoder_.forward(ctx, patches, grids, arena, x);
    }
    ctx.show("vision.out", x);
    const auto joined = arena.floats({out.rows(), projector_.sizes().in}, "joined");
    std::int64_t row = 0;
    for (const auto& [height, width] : grids) {
      kernels::pixel_shuffle(ctx, x.slice_rows(row, height * width), height, width, merge,
                             joined.slice_rows(row / square, height * width / square));
      row += height * width;
    }
    projector_.forward(ctx, joined, arena, out);
    ctx.show("projector.out", out);
  }

  std::int64_t piece_macs(const Piece& piece) const override {
    return encoder_.macs(piece.patches) + piece.rows * projector_.macs();
  }

  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    const auto& c = encoder_.config();
    const std::int64_t patch =
        2 * c.blocks.hidden_size + c.patch_values() + encoder_.scratch_per_row();
    const auto& sizes = projector_.sizes();
    const std::int64_t row = sizes.in + projector_.scratch_per_row() + sizes.out;
    return std::size_t(patches * patch + rows * row) * sizeof(float);
  }

  /// The chat template begins with the beginning token, the processor adds nothing.
  bool write_around(std::vector<PromptSpan>&) const override { return false; }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& media) const override {
    std::string before = begin_ + "<|im_start|>user\n";
    for (std::size_t i = 0; i < media.pictures; i++) before += placeholder_;
    return std::vector<PromptSpan>{
        {before, true}, {words, false}, {"<|im_end|>\n<|im_start|>assistant\n", true}};
  }

 private:
  static bool tied(const Json& config) {
    return config.boolean("tie_embedding", config.boolean("tie_word_embeddings", true));
  }

  vision::GridSize grid_of(const vision::Tile& tile) const {
    const auto [down, across] = processor_.patches({tile.height, tile.width});
    return {down, across};
  }

  void check(const Json& config) const {
    const std::int64_t patch = encoder_.config().patch_size;
    const std::int64_t merge = vision::bounded(config, "downsample_factor", 2, 1, 16);
    if (processor_.patch() != patch || processor_.merge() != merge) {
      fail<ModelError>(config.where(), ": patches of ", patch, " pixels, joined by ", merge,
                       "; the processor makes ", processor_.patch(), " and ", processor_.merge());
    }
    if (processor_.tile() % (patch * merge) != 0) {
      fail<ModelError>(config.where(), ": tiles of ", processor_.tile(),
                       " pixels do not divide into tokens of ", patch * merge);
    }
  }

  /// Tiles row by row, each behind its place, then the whole behind its own mark.
  std::string expansion(const vision::TileLayout& cut, const std::vector<Piece>& pieces) const {
    std::string out = marks_ ? start_ : "";
    for (std::size_t i = 0; i < pieces.size(); i++) {
      const auto place = std::int64_t(i);
      if (marks_ && place < cut.rows * cut.cols) {
        out += "<|img_row_" + std::to_string(place / cut.cols + 1) + "_col_" +
               std::to_string(place % cut.cols + 1) + "|>";
      } else if (marks_ && pieces.size() > 1) {
        out += whole_;
      }
      for (std::int64_t t = 0; t < pieces[i].rows; t++) out += placeholder_;
    }
    return marks_ ? out + end_ : out;
  }

  vision::Lfm2VlProcessor processor_;
  vision::Siglip2Encoder encoder_;
  projector::MlpProjector projector_;
  language::Decoder decoder_;
  std::int32_t image_token_;
  std::string placeholder_, begin_;
  bool marks_ = true;                // a picture and its parts are marked
  std::string start_, end_, whole_;  // the marks
};

}  // namespace

std::unique_ptr<Family> make_lfm2_vl(const FamilyParts& parts) {
  return std::make_unique<Lfm2Vl>(parts);
}

}  // namespace chiasm
