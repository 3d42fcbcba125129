/// SigLIP and SigLIP 2 for pictures of one size: the text tower's last row, every text filled up to
/// the longest, and what a learned query finds among the patches. Sources: Zhai et al., 2023,
/// arXiv:2303.15343; transformers' SiglipModel.
#include <cmath>
#include <optional>

#include "projector/attention_pooling.h"
#include "projector/pooling.h"
#include "runtime/two_towers.h"

namespace chiasm {

namespace {

/// SiglipTextConfig.
language::TextEncoderConfig read_text(const Json& config) {
  language::TextEncoderConfig c;
  c.hidden_size = config.integer("hidden_size", 768);
  c.intermediate_size = config.integer("intermediate_size", 3072);
  c.layers = config.integer("num_hidden_layers", 12);
  c.heads = config.integer("num_attention_heads", 12);
  c.vocab_size = config.integer("vocab_size", 32000);
  c.positions = config.integer("max_position_embeddings", 64);
  c.activation = kernels::activation_from_name(config.str("hidden_act", "gelu_pytorch_tanh"));
  c.norm = {kernels::NormKind::layer, float(config.number("layer_norm_eps", 1e-6))};
  c.names = clip_text_names();
  c.check(config.where());
  return c;
}

/// The token that the tokenizer's settings name, else the text config's.
std::int32_t padding(const FamilyParts& p) {
  const auto named = p.tokenizer.pad_token();
  return named ? *named : std::int32_t(p.config["text_config"].integer("pad_token_id", 1));
}

projector::AttentionPooling::Sizes head_sizes(const vision::TransformerConfig& c) {
  return {c.hidden_size, c.intermediate_size, c.heads, c.activation, c.norm};
}

class Siglip : public TwoTowers {
 public:
  explicit Siglip(const FamilyParts& p)
      : TwoTowers(p, {.text = read_text(p.config["text_config"]),
                      .vision = vision::VitConfig::from_json(p.config["vision_config"],
                                                             "siglip_vision_model"),
                      .processor = vision::PlainKind::siglip,
                      .size = p.config["vision_config"].integer("hidden_size", 768),
                      .pad = padding(p)}),
        text_head_(p.ctx, p.weights.scope("text_model"), {{"head", size(p)}}, text().hidden_size,
                   true, p.formats.plain),
        picture_head_(p.ctx, head_sizes(vision().blocks), p.weights.scope("vision_model.head"),
                      p.formats.vision) {
    if (!p.config["vision_config"].boolean("vision_use_head", true)) {
      fail<ModelError>(p.config.where(), ": a picture tower without a head is not supported");
    }
    const float scale = p.weights.floats("logit_scale", {1}).view<float>().data()[0];
    const float bias = p.weights.floats("logit_bias", {1}).view<float>().data()[0];
    set_logits(std::exp(scale), bias);
    p.weights.finish([](std::string_view name) { return name.ends_with("position_ids"); });
  }

  void describe(EmbedderInfo& info) const override {
    info.family = "siglip";
    TwoTowers::describe(info);
  }
  std::size_t weight_bytes() const override {
    return tower_bytes() + text_head_.bytes() + picture_head_.bytes();
  }

 private:
  /// Numbers of a text's vector, which are those of a picture's.
  static std::int64_t size(const FamilyParts& p) {
    const std::int64_t pictures = p.config["vision_config"].integer("hidden_size", 768);
    const Json text = p.config["text_config"];
    const std::int64_t texts = text.integer("projection_size", text.integer("hidden_size", 768));
    if (texts != pictures) {
      fail<ModelError>(p.config.where(), ": texts become ", texts, " numbers, pictures ", pictures);
    }
    return texts;
  }

  void text_vectors(const Context& ctx, std::span<const std::vector<std::int32_t>> ids,
                    TensorView<const float> rows, Arena& arena,
                    TensorView<float> out) const override {
    Arena::Frame frame(arena);
    const auto last = arena.floats({out.rows(), rows.cols()}, "last rows");
    const std::vector<std::int64_t> counts(ids.size(), text().max_tokens());
    projector::pool(projector::Pooling::last, rows, counts, last);
    text_head_(ctx, last, out);  // [texts, size]
  }

  void picture_vectors(const Context& ctx, TensorView<const float> rows, Arena& arena,
                       TensorView<float> out) const override {
    picture_head_.forward(ctx, rows, vision().rows(), arena, out);  // [pictures, size]
  }

  kernels::LinearLayer text_head_;
  projector::AttentionPooling picture_head_;
};

}  // namespace

std::unique_ptr<EmbedderFamily> make_siglip(const FamilyParts& parts) {
  return std::make_unique<Siglip>(parts);
}

}  // namespace chiasm
