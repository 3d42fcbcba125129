/// Voxtral: sound of any length in windows of 30 s, the last one padded with silence, through
/// Whisper's encoder; four rows side by side, an MLP, a Llama decoder.
/// Source: transformers' VoxtralForConditionalGeneration, VoxtralProcessor; Liu et al., 2025,
/// arXiv:2507.13264.
#include <string>

#include "projector/mlp.h"
#include "runtime/sound_family.h"
#include "runtime/vit_parts.h"

namespace chiasm {

namespace {

SoundFamilyOptions options(const FamilyParts& p) {
  return {.name = "voxtral",
          .encoder = audio::WhisperEncoderConfig::large_from_json(p.config["audio_config"]),
          .token = std::int32_t(p.config.integer("audio_token_id", 24)),
          .before = "[BEGIN_AUDIO]"};
}

class Voxtral : public SoundFamily {
 public:
  explicit Voxtral(const FamilyParts& p)
      : SoundFamily(p, options(p)),
        mlp_(p.ctx, projector_scope(p, "linear_1.weight"),
             {encoder().config().intermediate_size, decoder().config().hidden_size,
              decoder().config().hidden_size},
             {}, false, kernels::activation_from_name(p.config.str("projector_hidden_act", "gelu")),
             p.formats.vision),
        begin_(begin_text(p.tokenizer)) {
    finish(p);
    const auto& c = encoder().config();
    if (c.intermediate_size % c.hidden_size != 0 || c.positions % stacked() != 0) {
      fail<ModelError>(p.config.where(), ": audio_config.intermediate_size ", c.intermediate_size,
                       " is no number of rows of ", c.hidden_size, " that divides a window of ",
                       c.positions);
    }
  }

  std::optional<std::vector<PromptSpan>> sound_turn(const std::string& words,
                                                    std::size_t sounds) const override {
    std::string before = begin_ + "[INST]";
    for (std::size_t i = 0; i < sounds; i++) before += sound_text();
    return std::vector<PromptSpan>{{before, true}, {words, false}, {"[/INST]", true}};
  }

 protected:
  Length length(std::int64_t samples) const override {
    const std::int64_t windows = (samples + window_samples() - 1) / window_samples();
    return {windows * window_samples(), windows * window_frames()};
  }

  std::int64_t tokens(std::int64_t rows) const override { return rows / stacked(); }

  void project(const Context& ctx, TensorView<const float> features, std::span<const std::int64_t>,
               Arena& arena, TensorView<float> out) const override {
    const TensorView<const float> side_by_side(features.data(), {out.rows(), mlp_.sizes().in},
                                               mlp_.sizes().in, "stacked rows");
    mlp_.forward(ctx, side_by_side, arena, out);
  }
  std::size_t projector_bytes() const override { return mlp_.bytes(); }
  std::int64_t projector_macs() const override {
    return mlp_.sizes().hidden * (mlp_.sizes().in + mlp_.sizes().out);
  }
  std::int64_t projector_scratch() const override { return mlp_.scratch_per_row(); }

 private:
  /// Rows of the encoder side by side.
  std::int64_t stacked() const {
    return encoder().config().intermediate_size / encoder().config().hidden_size;
  }

  projector::MlpProjector mlp_;
  std::string begin_;
};

}  // namespace

std::unique_ptr<Family> make_voxtral(const FamilyParts& parts) {
  return std::make_unique<Voxtral>(parts);
}

}  // namespace chiasm
