/// CLIP: the text tower's row of the end token and the picture tower's class row, each projected by
/// a matrix. Sources: Radford et al., 2021, arXiv:2103.00020; transformers' CLIPModel.
#include <algorithm>
#include <cmath>

#include "runtime/two_towers.h"

namespace chiasm {

namespace {

constexpr std::int32_t kOldEnd = 2;  // what early config files say wrongly

/// CLIPTextConfig.
language::TextEncoderConfig read_text(const Json& config) {
  language::TextEncoderConfig c;
  c.hidden_size = config.integer("hidden_size", 512);
  c.intermediate_size = config.integer("intermediate_size", 2048);
  c.layers = config.integer("num_hidden_layers", 12);
  c.heads = config.integer("num_attention_heads", 8);
  c.vocab_size = config.integer("vocab_size", 49408);
  c.positions = config.integer("max_position_embeddings", 77);
  c.activation = kernels::activation_from_name(config.str("hidden_act", "quick_gelu"));
  c.norm = {kernels::NormKind::layer, float(config.number("layer_norm_eps", 1e-5))};
  c.causal = true;
  c.names = clip_text_names();
  c.check(config.where());
  return c;
}

class Clip : public TwoTowers {
 public:
  explicit Clip(const FamilyParts& p)
      : TwoTowers(p, {.text = read_text(p.config["text_config"]),
                      .vision = vision::VitConfig::from_json(p.config["vision_config"],
                                                             "clip_vision_model"),
                      .processor = vision::PlainKind::clip,
                      .size = p.config.integer("projection_dim", 512)}),
        end_(std::int32_t(p.config["text_config"].integer("eos_token_id", 49407))),
        text_head_(p.ctx, p.weights, {{"text_projection", p.config.integer("projection_dim", 512)}},
                   text().hidden_size, false, p.formats.plain),
        picture_head_(p.ctx, p.weights,
                      {{"visual_projection", p.config.integer("projection_dim", 512)}},
                      vision().blocks.hidden_size, false, p.formats.plain) {
    const Tensor scale = p.weights.floats("logit_scale", {});
    set_logits(std::exp(scale.view<float>().data()[0]), 0);
    p.weights.finish([](std::string_view name) { return name.ends_with("position_ids"); });
  }

  void describe(EmbedderInfo& info) const override {
    info.family = "clip";
    TwoTowers::describe(info);
  }
  std::size_t weight_bytes() const override {
    return tower_bytes() + text_head_.bytes() + picture_head_.bytes();
  }

 private:
  void text_vectors(const Context& ctx, std::span<const std::vector<std::int32_t>> ids,
                    TensorView<const float> rows, Arena& arena,
                    TensorView<float> out) const override {
    Arena::Frame frame(arena);
    const auto ends = arena.floats({out.rows(), rows.cols()}, "end rows");
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < ids.size(); i++) {
      const auto at =
          end_ == kOldEnd ? std::ranges::max_element(ids[i]) : std::ranges::find(ids[i], end_);
      const std::int64_t row = at == ids[i].end() ? 0 : at - ids[i].begin();
      std::copy_n(rows.row(begin + row), rows.cols(), ends.row(std::int64_t(i)));
      begin += std::int64_t(ids[i].size());
    }
    text_head_(ctx, ends, out);  // [texts, size]
  }

  void picture_vectors(const Context& ctx, TensorView<const float> rows, Arena& arena,
                       TensorView<float> out) const override {
    Arena::Frame frame(arena);
    const auto classes = arena.floats({out.rows(), rows.cols()}, "class rows");
    for (std::int64_t i = 0; i < out.rows(); i++) {
      std::copy_n(rows.row(i * vision().rows()), rows.cols(), classes.row(i));
    }
    picture_head_(ctx, classes, out);  // [pictures, size]
  }

  std::int32_t end_;
  kernels::LinearLayer text_head_, picture_head_;
};

}  // namespace

std::unique_ptr<EmbedderFamily> make_clip(const FamilyParts& parts) {
  return std::make_unique<Clip>(parts);
}

}  // namespace chiasm
