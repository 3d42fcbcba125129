/// PaliGemma 1 and 2: a SigLIP encoder, one matrix, a Gemma decoder; all of the prompt sees all of
/// it, answers are causal.
/// Source: transformers' PaliGemmaForConditionalGeneration, PaliGemmaProcessor; Beyer et al., 2024,
/// arXiv:2407.07726; Steiner et al., 2024, arXiv:2412.03555.
#include <numeric>
#include <string>

#include "core/staged.h"
#include "kernels/linear_layer.h"
#include "runtime/family.h"
#include "runtime/prompt.h"
#include "runtime/scopes.h"
#include "runtime/vit_parts.h"
#include "vision/plain_processor.h"
#include "vision/vit.h"

namespace chiasm {

namespace {

class PaliGemma : public Family {
 public:
  explicit PaliGemma(const FamilyParts& p)
      : PaliGemma(p, language::DecoderConfig::from_json(p.config["text_config"], "gemma"),
                  TextScopes::find(p.weights)) {}

  PaliGemma(const FamilyParts& p, const language::DecoderConfig& text, const TextScopes& scopes)
      : processor_(vision::PlainProcessor::load(p.folder, vision::PlainKind::siglip)),
        encoder_(p.ctx,
                 vision::VitConfig::from_json(p.config["vision_config"], "siglip_vision_model"),
                 find_tower(p.weights), p.formats.vision, p.formats.plain),
        projection_(p.ctx,
                    find_scope(p.weights, {"multi_modal_projector", "model.multi_modal_projector"},
                               "linear.weight"),
                    {{"linear", text.hidden_size}}, encoder_.config().blocks.hidden_size, true,
                    p.formats.vision),
        decoder_(p.ctx, text, scopes.model, scopes.head,
                 p.config.boolean("tie_word_embeddings", text.tied), p.formats.text),
        image_token_(std::int32_t(
            p.config.integer("image_token_index", p.config.integer("image_token_id", 256000)))),
        placeholder_(p.tokenizer.token_text(image_token_)),
        begin_(begin_text(p.tokenizer)) {
    p.weights.finish(
        [](std::string_view name) { return is_unread(name) || name.ends_with("lm_head.weight"); });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::string_view placeholder() const override { return placeholder_; }
  std::optional<std::int32_t> image_token() const override { return image_token_; }
  std::size_t weight_bytes() const override {
    return encoder_.bytes() + projection_.bytes() + decoder_.bytes();
  }

  void describe(ModelInfo& info) const override {
    info.family = "paligemma";
    info.image_token = placeholder_;
    describe_vit(encoder_, encoder_.config().rows(), info);
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileLayout tiles = processor_.layout(width, height);
    MediumLayout out;
    out.tokens = encoder_.config().rows();
    out.pieces = {Piece{out.tokens, out.tokens}};
    out.bytes = tiles.tiles[0].height * tiles.tiles[0].width * 3;
    for (std::int64_t i = 0; i < out.tokens; i++) out.expansion += placeholder_;
    return out;
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t) const override {
    PictureTiles out(width, height);
    const Region region = processor_.shown(width, height);
    out.add_tile(region, processor_.layout(width, height).tiles[0]);
    add_vit_tokens(out, region, encoder_.config().rows(), encoder_.config().side());
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
    const Pass pass(ctx, host);
    Arena& arena = pass.arena();
    const auto rows = unwritten(ctx, out, arena);
    const auto x = arena.floats({out.rows(), encoder_.config().blocks.hidden_size}, "x");
    const auto tiles = vit_tiles(pieces);
    encoder_.forward(ctx, tiles, arena, x);
    ctx.show("vision.out", x);
    projection_(ctx, x, rows);
    ctx.show("projector.out", rows);
    bring_back(ctx, rows, out);
  }

  std::int64_t piece_macs(const Piece& piece) const override {
    return encoder_.tile_macs() +
           piece.rows * encoder_.config().blocks.hidden_size * projection_.out();
  }

  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    const std::int64_t dim = encoder_.config().blocks.hidden_size;
    return std::size_t(patches * (dim + encoder_.scratch_per_row()) + rows * projection_.out()) *
           sizeof(float);
  }

  /// The beginning token goes after the last picture, or first without one; a line feed ends the
  /// prompt.
  bool write_around(std::vector<PromptSpan>& prompt) const override {
    auto span = prompt.rbegin();
    std::size_t after = 0;
    for (; span != prompt.rend(); ++span) {
      const std::size_t at = span->trusted ? span->text.rfind(placeholder_) : std::string::npos;
      if (at == std::string::npos) continue;
      after = at + placeholder_.size();
      break;
    }
    if (span == prompt.rend()) {
      prompt.insert(prompt.begin(), PromptSpan{begin_, true});
    } else {
      span->text.insert(after, begin_);
    }
    prompt.push_back({"\n", true});
    return false;
  }

  Arrangement arrange(const Prompt& prompt) const override {
    Arrangement out;
    const auto length = std::int64_t(prompt.ids.size());
    out.positions.resize(prompt.ids.size());
    std::iota(out.positions.begin(), out.positions.end(), 1);
    out.next = std::int32_t(length + 1);
    out.spans = {{0, length}};
    out.whole_spans = true;
    return out;
  }

 private:
  vision::PlainProcessor processor_;
  vision::VitEncoder encoder_;
  kernels::LinearLayer projection_;
  language::Decoder decoder_;
  std::int32_t image_token_;
  std::string placeholder_, begin_;
};

}  // namespace

std::unique_ptr<Family> make_paligemma(const FamilyParts& parts) {
  return std::make_unique<PaliGemma>(parts);
}

}  // namespace chiasm
