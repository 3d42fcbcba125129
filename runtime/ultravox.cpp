/// Ultravox: sound in windows of at most 30 s, without padding, through Whisper's encoder; eight
/// rows side by side through a gated MLP between norms; a decoder of any kind. Source: Ultravox's
/// published config.json and model card. Its code is no part of transformers:
/// tests/reference/ultravox_reference.py writes down what is meant by them.
#include <string>

#include "projector/frame_stack.h"
#include "runtime/sound_family.h"

namespace chiasm {

namespace {

/// The token that stands for a row of a sound. Published prompts write "<|audio|>", which Llama 3's
/// vocabulary does not have; a token that is reserved there stands for it.
std::int32_t sound_token(const FamilyParts& p) {
  for (const std::string_view name : {"<|audio|>", "<|reserved_special_token_0|>"}) {
    if (const auto id = p.tokenizer.find(name)) return *id;
  }
  fail<ModelError>(
      "tokenizer.json: neither <|audio|> nor <|reserved_special_token_0|> is there to "
      "stand for sounds");
}

SoundFamilyOptions options(const FamilyParts& p) {
  return {.name = "ultravox",
          .encoder = audio::WhisperEncoderConfig::from_json(p.config["audio_config"]),
          .token = sound_token(p)};
}

projector::FrameStackProjector::Sizes sizes(const FamilyParts& p, std::int64_t in,
                                            std::int64_t out) {
  const std::string act = p.config.str("projector_act", "swiglu");
  const std::int64_t hidden = p.config.integer("hidden_size", 4096);
  const std::int64_t stacked = p.config.integer("stack_factor", 8);
  if (act != "swiglu" || hidden < 2 || hidden > 1 << 20 || hidden % 2 != 0 || stacked < 1 ||
      stacked > 256) {
    fail<ModelError>(p.config.where(), ": these do not describe a projector: projector_act \"", act,
                     "\", hidden_size ", hidden, ", stack_factor ", stacked);
  }
  return {in, hidden, out, stacked, p.config.boolean("projector_ln_mid", false)};
}

class Ultravox : public SoundFamily {
 public:
  explicit Ultravox(const FamilyParts& p)
      : SoundFamily(p, options(p)),
        projector_(p.ctx, projector_scope(p, "linear_1.weight"),
                   sizes(p, encoder().config().hidden_size, decoder().config().hidden_size),
                   p.formats.vision) {
    finish(p);
  }

  /// In one piece: windows are cut later.
  std::vector<NamedTensor> processor_output(const audio::PreparedSound& sound) const override {
    return input_features(sound, sound.frames);
  }

 protected:
  Length length(std::int64_t samples) const override {
    const std::int64_t hop = features().config().hop, frames = (samples + hop - 1) / hop;
    return {frames * hop, frames};
  }

  std::int64_t tokens(std::int64_t rows) const override { return projector_.rows(rows); }

  void project(const Context& ctx, TensorView<const float> features,
               std::span<const std::int64_t> rows, Arena& arena,
               TensorView<float> out) const override {
    projector_.forward(ctx, features, rows, arena, out);
  }
  std::size_t projector_bytes() const override { return projector_.bytes(); }
  std::int64_t projector_macs() const override {
    const auto& s = projector_.sizes();
    return s.hidden * s.in * s.stacked + s.hidden / 2 * s.out;
  }
  std::int64_t projector_scratch() const override { return projector_.scratch_per_row(); }

 private:
  projector::FrameStackProjector projector_;
};

}  // namespace

std::unique_ptr<Family> make_ultravox(const FamilyParts& parts) {
  return std::make_unique<Ultravox>(parts);
}

}  // namespace chiasm
