/// InternVL: InternViT over tiles and a thumbnail, neighbours joined, a normed MLP, a decoder of
/// any kind.
/// Source: transformers' InternVLForConditionalGeneration, InternVLProcessor; Chen et al., 2024,
/// arXiv:2404.16821.
#include <cmath>
#include <string>

#include "runtime/vit_family.h"
#include "vision/internvl_processor.h"

namespace chiasm {

namespace {

/// "downsample_ratio" 0.5: two patches of each side become one token. The order within a token is
/// that of reading, as in Idefics3: transformers' two pixel_shuffle agree.
std::int64_t joined(const Json& config) {
  const double ratio = config.number("downsample_ratio", 0.5);
  const double side = 1 / ratio;
  if (!(side >= 1 && side <= 64) || side != std::floor(side)) {
    fail<ModelError>(config.where(), ".downsample_ratio: ", ratio,
                     ", expected one over a whole number up to 64");
  }
  return std::int64_t(side);
}

class InternVl : public VitFamily {
 public:
  explicit InternVl(const FamilyParts& p)
      : VitFamily(p, {.name = "internvl",
                      .vision_type = "internvl_vision",
                      .feature_layer = -1,
                      .last_is_normed = true,
                      .joined = joined(p.config),
                      .projector = {.norm = "layer_norm"}}),
        processor_(vision::InternVlProcessor::load(p.folder)) {
    const Json settings = Json::load(p.folder / "tokenizer_config.json");
    start_ = settings.str("start_image_token", "<img>");
    end_ = settings.str("end_image_token", "</img>");
    finish(p);
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    MediumLayout out = layout_of(processor_.layout(width, height));
    out.expansion = start_ + image_tokens(out.tokens) + end_;
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout&) const override {
    return processor_(ctx, image);
  }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              std::size_t pictures) const override {
    std::string before = "<|im_start|>user\n";
    for (std::size_t i = 0; i < pictures; i++) before += std::string(placeholder()) + "\n";
    return std::vector<PromptSpan>{
        {before, true}, {words, false}, {"<|im_end|>\n<|im_start|>assistant\n", true}};
  }

 private:
  vision::InternVlProcessor processor_;
  std::string start_, end_;  // around a picture's tokens
};

}  // namespace

std::unique_ptr<Family> make_internvl(const FamilyParts& parts) {
  return std::make_unique<InternVl>(parts);
}

}  // namespace chiasm
