/// The search head that chiasm-mini has beside a SmolVLM: pictures from the encoder alone, texts
/// from the decoder alone, both projected into one space. Source: tools/mini/README.md.
#include <algorithm>

#include "kernels/linear_layer.h"
#include "kernels/pages.h"
#include "projector/pooling.h"
#include "runtime/embedder_family.h"
#include "runtime/smolvlm.h"
#include "vision/siglip.h"

namespace chiasm {

namespace {

constexpr std::string_view kHead = "chiasm.embed";

class SmolVlmSearch : public EmbedderFamily {
 public:
  explicit SmolVlmSearch(const FamilyParts& p)
      : size_(head_size(p)),
        kv_dtype_(p.formats.plain == kernels::WeightFormat::f32 ? DType::f32 : DType::bf16),
        processor_(vision::Idefics3Processor::load(p.folder)),
        encoder_(p.ctx, smolvlm_vision_config(p.config), p.weights.scope("model.vision_model"),
                 p.formats.vision, p.formats.plain),
        decoder_(p.ctx, language::DecoderConfig::from_json(p.config["text_config"]),
                 p.weights.scope("model.text_model"), p.weights, /*tied=*/true, p.formats.text),
        image_head_(p.ctx, p.weights.scope(kHead), {{"image", size_}},
                    encoder_.config().hidden_size, false, p.formats.plain),
        text_head_(p.ctx, p.weights.scope(kHead), {{"text", size_}}, decoder_.config().hidden_size,
                   false, p.formats.plain),
        start_(token(p.tokenizer, "<|im_start|>")),
        end_(token(p.tokenizer, "<end_of_utterance>")) {
    const std::int64_t side = processor_.grid_for(1, 1).tile_width / encoder_.config().patch_size;
    patches_ = side * side;
    p.weights.finish([&](std::string_view name) {
      return name.ends_with("rotary_emb.inv_freq") || name.ends_with("position_ids") ||
             name == "lm_head.weight" || name.starts_with("model.connector.") ||
             name == "chiasm.embed.logit_scale";  // how sharp training compared; ranks need none
    });
  }

  void describe(EmbedderInfo& info) const override {
    info.family = "smolvlm search head";
    info.size = size_;
    info.max_tokens = decoder_.config().max_positions;
    info.patches_per_picture = patches_;
  }

  std::size_t weight_bytes() const override {
    return encoder_.bytes() + decoder_.bytes() + image_head_.bytes() + text_head_.bytes();
  }

  std::vector<std::int32_t> tokens(const language::Tokenizer& tokenizer,
                                   std::span<const language::TextSpan> text) const override {
    std::vector<std::int32_t> ids{start_};
    const auto middle = tokenizer.encode_spans(text, false);
    ids.insert(ids.end(), middle.begin(), middle.end());
    ids.push_back(end_);
    return ids;
  }

  /// The row of each text's last token after the decoder's last norm, projected.
  void embed_texts(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
                   Arena& arena, TensorView<float> out) const override {
    std::vector<std::int32_t> ids;
    std::int64_t pages = 0;
    for (const auto& text : texts) {
      ids.insert(ids.end(), text.begin(), text.end());
      pages += kernels::pages_for(std::int64_t(text.size()));
    }
    language::KvPages cache(decoder_.kv_shape(kv_dtype_), pages);
    std::vector<language::SequenceState> states;
    std::vector<language::BatchPart> parts;
    for (std::size_t i = 0; i < texts.size(); i++) states.emplace_back(cache);
    for (std::size_t i = 0; i < texts.size(); i++) {
      states[i].reserve(std::int64_t(texts[i].size()));
      parts.push_back({&states[i], std::int64_t(texts[i].size())});
    }
    Arena::Frame frame(arena);
    const std::int64_t dim = decoder_.config().hidden_size;
    const auto x = arena.floats({std::int64_t(ids.size()), dim}, "text rows");  // [tokens, dim]
    decoder_.embed(ctx, ids, x);
    decoder_.forward(ctx, cache, parts, arena, x);
    const auto last = arena.floats({std::int64_t(texts.size()), dim}, "last rows");  // [texts, dim]
    std::int64_t row = -1;
    for (std::size_t i = 0; i < texts.size(); i++) {
      row += std::int64_t(texts[i].size());
      std::copy_n(x.row(row), dim, last.row(std::int64_t(i)));
    }
    text_head_(ctx, last, out);  // [texts, size]
  }

  vision::PreparedPicture preprocess(const Context& ctx,
                                     const vision::Image& image) const override {
    return processor_(ctx, image);
  }

  /// The mean of a picture's patch rows, projected. A processor that splits pictures puts the whole
  /// one last: the pieces are not looked at.
  void embed_images(const Context& ctx, std::span<const vision::PreparedPicture> images,
                    Arena& arena, TensorView<float> out) const override {
    Arena::Frame frame(arena);
    const auto count = std::int64_t(images.size()), dim = encoder_.config().hidden_size;
    std::vector<vision::EncoderTile> inputs;
    for (const vision::PreparedPicture& tiles : images) {
      const vision::Tile& whole = tiles.tiles.back();
      const auto pixels = arena.floats({3, whole.height, whole.width}, "pixels");
      tiles.pixel_values(tiles.count() - 1, pixels.data());
      inputs.push_back({pixels, whole.valid.height, whole.valid.width});
    }
    const auto features = arena.floats({count * patches_, dim}, "features");
    encoder_.forward(ctx, inputs, arena, features);  // [pictures * patches, dim]
    const auto means = arena.floats({count, dim}, "means");
    const std::vector<std::int64_t> counts(images.size(), patches_);
    projector::mean_pool(features, counts, means);  // [pictures, dim]
    image_head_(ctx, means, out);                   // [pictures, size]
  }

 private:
  /// Numbers of a vector, as the head's own matrix has them.
  static std::int64_t head_size(const FamilyParts& p) {
    if (!p.weights.has("chiasm.embed.image.weight") || !p.weights.has("chiasm.embed.text.weight")) {
      fail<ModelError>(
          p.folder.string(),
          ": has no search head (the tensors chiasm.embed.*), so this model answers but "
          "embeds nothing; load chiasm-mini or another embedder");
    }
    return p.config["chiasm"]["embed"]["size"].integer();
  }

  static std::int32_t token(const language::Tokenizer& tokenizer, std::string_view text) {
    const auto id = tokenizer.find(text);
    if (!id) fail<ModelError>("tokenizer.json: has no token ", text);
    return *id;
  }

  std::int64_t size_, patches_ = 0;
  DType kv_dtype_;
  vision::Idefics3Processor processor_;
  vision::SiglipEncoder encoder_;
  language::Decoder decoder_;
  kernels::LinearLayer image_head_, text_head_;
  std::int32_t start_, end_;
};

}  // namespace

std::unique_ptr<EmbedderFamily> make_smolvlm_search(const FamilyParts& parts) {
  return std::make_unique<SmolVlmSearch>(parts);
}

}  // namespace chiasm
