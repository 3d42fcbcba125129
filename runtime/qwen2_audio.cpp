/// Qwen2-Audio: one window of sound of 30 s at most through Whisper's encoder, neighbouring rows
/// averaged, one matrix, a Qwen2 decoder.
/// Source: transformers' Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor; Chu et al., 2024,
/// arXiv:2407.10759.
#include <algorithm>
#include <string>

#include "runtime/sound_family.h"

namespace chiasm {

namespace {

SoundFamilyOptions options(const FamilyParts& p) {
  audio::WhisperEncoderConfig encoder =
      audio::WhisperEncoderConfig::large_from_json(p.config["audio_config"]);
  encoder.pooled = 2;
  return {.name = "qwen2_audio",
          .encoder = encoder,
          .token = std::int32_t(
              p.config.integer("audio_token_index", p.config.integer("audio_token_id", 151646))),
          .text_type = "qwen2",
          .before = "<|audio_bos|>",
          .after = "<|audio_eos|>"};
}

class Qwen2Audio : public SoundFamily {
 public:
  explicit Qwen2Audio(const FamilyParts& p)
      : SoundFamily(p, options(p)),
        linear_(p.ctx, projector_scope(p, "linear.weight"),
                {{"linear", decoder().config().hidden_size}}, encoder().config().hidden_size, true,
                p.formats.vision) {
    finish(p);
    const std::int64_t made = features().config().chunk_frames();
    if (made != window_frames()) {
      fail<ModelError>("preprocessor_config.json makes windows of ", made,
                       " frames, the encoder takes ", window_frames());
    }
  }

  std::vector<NamedTensor> processor_output(const audio::PreparedSound& sound) const override {
    std::vector<NamedTensor> out = SoundFamily::processor_output(sound);
    out.push_back({"feature_attention_mask", Tensor(DType::i64, {1, window_frames()})});
    std::int64_t* mask = out.back().values.view<std::int64_t>().data();
    for (std::int64_t i = 0; i < window_frames(); i++) mask[i] = i < sound.frames ? 1 : 0;
    return out;
  }

  std::optional<std::vector<PromptSpan>> sound_turn(const std::string& words,
                                                    std::size_t sounds) const override {
    std::string before =
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n";
    for (std::size_t i = 1; i <= sounds; i++) {
      before += "Audio " + std::to_string(i) + ": " + sound_text() + "\n";
    }
    return std::vector<PromptSpan>{
        {before, true}, {words, false}, {"<|im_end|>\n<|im_start|>assistant\n", true}};
  }

 protected:
  /// What is beyond one window is not heard, as in the reference.
  Length length(std::int64_t samples) const override {
    const std::int64_t hop = features().config().hop;
    return {window_samples(), std::min((samples + hop - 1) / hop, window_frames())};
  }

  std::int64_t tokens(std::int64_t rows) const override { return rows / 2; }

  void project(const Context& ctx, TensorView<const float> features, std::span<const std::int64_t>,
               Arena&, TensorView<float> out) const override {
    linear_(ctx, features, out);
  }
  std::size_t projector_bytes() const override { return linear_.bytes(); }
  std::int64_t projector_macs() const override {
    return encoder().config().hidden_size * decoder().config().hidden_size;
  }
  std::int64_t projector_scratch() const override { return 0; }

 private:
  kernels::LinearLayer linear_;
};

}  // namespace

std::unique_ptr<Family> make_qwen2_audio(const FamilyParts& parts) {
  return std::make_unique<Qwen2Audio>(parts);
}

}  // namespace chiasm
