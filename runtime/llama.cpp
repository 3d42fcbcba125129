/// Text-only Llama: tokens in, logits out. Source: transformers' LlamaForCausalLM.
#include "runtime/family.h"

namespace chiasm {

namespace {

class Llama : public Family {
 public:
  explicit Llama(const FamilyParts& p)
      : decoder_(p.ctx, language::DecoderConfig::from_json(p.config), p.weights.scope("model"),
                 p.weights, p.config.boolean("tie_word_embeddings", false), p.formats.text) {
    const bool tied = p.config.boolean("tie_word_embeddings", false);
    p.weights.finish([&](std::string_view name) {
      return name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
    });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::size_t weight_bytes() const override { return decoder_.bytes(); }
  void describe(ModelInfo& info) const override { info.family = "llama"; }

 private:
  language::Decoder decoder_;
};

}  // namespace

std::unique_ptr<Family> make_llama(const FamilyParts& parts) {
  return std::make_unique<Llama>(parts);
}

}  // namespace chiasm
