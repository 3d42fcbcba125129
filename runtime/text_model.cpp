/// Text alone: tokens in, logits out. Source: transformers' ...ForCausalLM of each model type.
#include <string>

#include "runtime/family.h"

namespace chiasm {

namespace {

/// Where the checkpoint holds the decoder: under its base model's name, or bare, as the first GPT-2
/// was published.
Weights decoder_scope(const FamilyParts& p, const language::DecoderConfig& config) {
  const std::string type = p.config["model_type"].str();
  const Weights inside = p.weights.scope(type == "gpt2"     ? "transformer"
                                         : type == "mamba2" ? "backbone"
                                                            : "model");
  const std::string table = std::string(config.names.embeddings) + ".weight";
  return !inside.has(table) && p.weights.has(table) ? p.weights : inside;
}

class TextModel : public Family {
 public:
  TextModel(const FamilyParts& p, const language::DecoderConfig& config)
      : name_(p.config["model_type"].str()),
        decoder_(p.ctx, config, decoder_scope(p, config), p.weights, config.tied, p.formats.text) {
    p.weights.finish([&](std::string_view name) {
      // GPT-2's old files hold the causal mask.
      const bool mask =
          name_ == "gpt2" && (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"));
      return mask || name.ends_with("rotary_emb.inv_freq") ||
             (config.tied && name == "lm_head.weight");
    });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::size_t weight_bytes() const override { return decoder_.bytes(); }
  bool runs_on_device() const override { return true; }
  void describe(ModelInfo& info) const override { info.family = name_; }

 private:
  std::string name_;
  language::Decoder decoder_;
};

}  // namespace

std::unique_ptr<Family> make_text_model(const FamilyParts& parts) {
  return std::make_unique<TextModel>(parts, language::DecoderConfig::from_json(parts.config));
}

}  // namespace chiasm
