/// LLaVA: a CLIP or SigLIP encoder, an MLP projector, a decoder of any kind.
/// Source: transformers' LlavaForConditionalGeneration, LlavaProcessor; Liu et al., 2023,
/// arXiv:2310.03744.
#include <string>

#include "runtime/vit_family.h"
#include "vision/plain_processor.h"

namespace chiasm {

namespace {

class Llava : public VitFamily {
 public:
  explicit Llava(const FamilyParts& p)
      : VitFamily(p, {.name = "llava"}), processor_(p.image_settings(), vision::PlainKind::llava) {
    finish(p);
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    MediumLayout out = layout_of(processor_.layout(width, height));
    out.expansion = image_tokens(out.tokens);
    return out;
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t) const override {
    PictureTiles out(width, height);
    add_tile(out, processor_.shown(width, height), processor_.layout(width, height).tiles[0]);
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout&) const override {
    return processor_(ctx, image);
  }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& media) const override {
    std::string before = begin() + "USER: ";
    for (std::size_t i = 0; i < media.pictures; i++) before += std::string(placeholder()) + "\n";
    return std::vector<PromptSpan>{{before, true}, {words, false}, {" ASSISTANT:", true}};
  }

 private:
  vision::PlainProcessor processor_;
};

}  // namespace

std::unique_ptr<Family> make_llava(const FamilyParts& parts) {
  return std::make_unique<Llava>(parts);
}

}  // namespace chiasm
