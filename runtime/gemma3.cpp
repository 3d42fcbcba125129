/// Gemma 3: a SigLIP encoder, its rows averaged to a fixed number of tokens, and a decoder in which
/// the tokens of a picture see each other both ways.
/// Source: transformers' Gemma3ForConditionalGeneration, Gemma3Processor; Gemma Team, 2025,
/// arXiv:2503.19786.
#include <cmath>
#include <string>

#include "core/staged.h"
#include "projector/pooling.h"
#include "runtime/family.h"
#include "runtime/prompt.h"
#include "runtime/scopes.h"
#include "runtime/vit_parts.h"
#include "vision/gemma3_processor.h"
#include "vision/vit.h"

namespace chiasm {

namespace {

constexpr std::string_view kBlank = " \t\n\v\f\r";  // what the chat template trims

/// From a tile's rows to its tokens: means of squares, a norm, a matrix. Sizes are checked here.
struct Pooling {
  std::int64_t side, kernel;  // rows of a tile and of what becomes a token, both ways
  std::int64_t tokens() const { return (side / kernel) * (side / kernel); }

  static Pooling from_json(const Json& config, const vision::VitConfig& tower) {
    const std::int64_t tokens = config.integer("mm_tokens_per_image", 256);
    const auto wanted = std::int64_t(std::sqrt(double(tokens)));
    if (wanted < 1 || wanted > tower.side() || wanted * wanted != tokens) {
      fail<ModelError>(config.where(), ": mm_tokens_per_image ", tokens, " of ", tower.side(),
                       " x ", tower.side(), " patches is not supported");
    }
    const Pooling out{tower.side(), tower.side() / wanted};
    if (out.tokens() != tokens) {
      fail<ModelError>(config.where(), ": mm_tokens_per_image ", tokens, " does not divide ",
                       tower.side(), " x ", tower.side(), " patches");
    }
    return out;
  }
};

class Gemma3 : public Family {
 public:
  explicit Gemma3(const FamilyParts& p)
      : Gemma3(p, language::DecoderConfig::from_json(p.config["text_config"], "gemma3_text"),
               TextScopes::find(p.weights), p.image_settings()) {}

  Gemma3(const FamilyParts& p, const language::DecoderConfig& text, const TextScopes& scopes,
         const Json& settings)
      : processor_(settings, vision::PanAndScan::from_json(settings)),
        encoder_(p.ctx,
                 vision::VitConfig::from_json(p.config["vision_config"], "siglip_vision_model"),
                 find_tower(p.weights), p.formats.vision, p.formats.plain),
        pooling_(Pooling::from_json(p.config, encoder_.config())),
        decoder_(p.ctx, text, scopes.model, scopes.head,
                 p.config.boolean("tie_word_embeddings", text.tied), p.formats.text),
        image_token_(token_id(p.config, "image_token", 262144)),
        placeholder_(p.tokenizer.token_text(token_id(p.config, "boi_token", 255999))),
        begin_(begin_text(p.tokenizer)) {
    const auto& blocks = encoder_.config().blocks;
    const Weights projector =
        find_scope(p.weights, {"multi_modal_projector", "model.multi_modal_projector"},
                   "mm_soft_emb_norm.weight");
    norm_ = {projector,
             "mm_soft_emb_norm",
             blocks.hidden_size,
             {kernels::NormKind::rms, blocks.norm.eps,
              float(p.config.number("norm_offset", 1))}};  // GGUF files hold 1 + w
    projection_ = kernels::LinearLayer::from_transposed(
        p.ctx, projector, "mm_input_projection_weight", blocks.hidden_size, text.hidden_size,
        p.formats.vision);
    const auto end = p.tokenizer.token_text(token_id(p.config, "eoi_token", 256000));
    const std::string_view soft = p.tokenizer.token_text(image_token_);
    whole_ = "\n\n" + placeholder_;
    for (std::int64_t i = 0; i < pooling_.tokens(); i++) whole_ += soft;
    whole_ += std::string(end) + "\n\n";
    p.weights.finish(
        [](std::string_view name) { return is_unread(name) || name.ends_with("lm_head.weight"); });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::string_view placeholder() const override { return placeholder_; }
  std::optional<std::int32_t> image_token() const override { return image_token_; }
  std::size_t weight_bytes() const override {
    return encoder_.bytes() + norm_.bytes() + projection_.bytes() + decoder_.bytes();
  }

  void describe(ModelInfo& info) const override {
    info.family = "gemma3";
    info.image_token = placeholder_;
    describe_vit(encoder_, pooling_.tokens(), info);
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileLayout tiles = processor_.layout(width, height);
    MediumLayout out;
    for (const vision::PictureSize& tile : tiles.tiles) {
      out.pieces.push_back({encoder_.config().rows(), pooling_.tokens()});
      out.bytes += tile.height * tile.width * 3;
    }
    const auto count = std::int64_t(tiles.tiles.size());
    out.tokens = count * pooling_.tokens();
    out.expansion = whole_;
    if (count == 1) return out;
    out.expansion = "Here is the original image " + whole_ +
                    " and here are some crops to help you see better " + whole_;
    for (std::int64_t i = 2; i < count; i++) out.expansion += " " + whole_;
    return out;
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileLayout cut = processor_.layout(width, height);
    const std::int64_t side = pooling_.side / pooling_.kernel;
    PictureTiles out(width, height);
    out.rows = cut.rows;
    out.cols = cut.cols;
    for (const Region& region : processor_.shown(width, height)) {
      out.add_tile(region, cut.tiles[0], side, side);
    }
    out.tiles[0].overview = cut.rows > 0;
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

  bool runs_on_device() const override { return true; }

  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& host,
              TensorView<float> out) const override {
    const std::int64_t dim = encoder_.config().blocks.hidden_size;
    const auto count = std::int64_t(pieces.size());
    const Pass pass(ctx, host);
    Arena& arena = pass.arena();
    const auto rows = unwritten(ctx, out, arena);
    const auto x = arena.floats({count * encoder_.config().rows(), dim}, "x");
    const auto pooled = arena.floats({count * pooling_.tokens(), dim}, "pooled");
    const auto tiles = vit_tiles(pieces);
    encoder_.forward(ctx, tiles, arena, x);
    ctx.show("vision.out", x);
    projector::average_pool(ctx, x, pooling_.side, pooling_.kernel, pooled);
    norm_(ctx, pooled, pooled);
    projection_(ctx, pooled, rows);
    ctx.show("projector.out", rows);
    bring_back(ctx, rows, out);
  }

  std::int64_t piece_macs(const Piece& piece) const override {
    return encoder_.tile_macs() +
           piece.rows * encoder_.config().blocks.hidden_size * projection_.out();
  }

  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    const std::int64_t dim = encoder_.config().blocks.hidden_size;
    return std::size_t(patches * (dim + encoder_.scratch_per_row()) +
                       rows * (dim + projection_.out())) *
           sizeof(float);
  }

  /// Each run of picture tokens sees itself both ways. Sliding layers cut its beginning off.
  Arrangement arrange(const Prompt& prompt) const override {
    Arrangement out;
    const auto length = std::int64_t(prompt.ids.size());
    for (std::int64_t i = 0; i < length; i++) {
      if (prompt.ids[std::size_t(i)] != image_token_) continue;
      const bool goes_on = !out.spans.empty() && out.spans.back().end == i;
      if (!goes_on) out.spans.push_back({i, i});
      out.spans.back().end = i + 1;
    }
    return out;
  }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& media) const override {
    std::string before = begin_ + "<start_of_turn>user\n";
    for (std::size_t i = 0; i < media.pictures; i++) before += placeholder_;
    const std::size_t first = words.find_first_not_of(kBlank);
    const std::size_t last = words.find_last_not_of(kBlank);
    const std::string trimmed =
        first == std::string::npos ? std::string() : words.substr(first, last - first + 1);
    return std::vector<PromptSpan>{
        {before, true}, {trimmed, false}, {"<end_of_turn>\n<start_of_turn>model\n", true}};
  }

 private:
  /// "image_token_index" as published, "image_token_id" in newer folders.
  static std::int32_t token_id(const Json& config, const std::string& name,
                               std::int64_t otherwise) {
    return std::int32_t(config.integer(name + "_index", config.integer(name + "_id", otherwise)));
  }

  vision::Gemma3Processor processor_;
  vision::VitEncoder encoder_;
  Pooling pooling_;
  kernels::NormLayer norm_;
  kernels::LinearLayer projection_;
  language::Decoder decoder_;
  std::int32_t image_token_;
  std::string placeholder_, begin_;
  std::string whole_;  // what a tile becomes in the prompt
};

}  // namespace

std::unique_ptr<Family> make_gemma3(const FamilyParts& parts) {
  return std::make_unique<Gemma3>(parts);
}

}  // namespace chiasm
