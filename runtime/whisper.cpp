/// Whisper: log-mel windows of 30 s through an encoder, a decoder that looks at them.
/// Source: transformers' WhisperForConditionalGeneration; Radford et al., 2022, arXiv:2212.04356.
#include <filesystem>

#include "audio/whisper_encoder.h"
#include "core/staged.h"
#include "runtime/family.h"

namespace chiasm {

namespace {

class Whisper : public Family {
 public:
  explicit Whisper(const FamilyParts& p)
      : features_(
            audio::LogMelConfig::from_json(Json::load(p.folder / "preprocessor_config.json"))),
        encoder_(p.ctx, audio::WhisperEncoderConfig::from_json(p.config),
                 p.weights.scope("model.encoder"), p.formats.vision, p.formats.plain),
        decoder_(p.ctx, language::DecoderConfig::from_json(p.config),
                 p.weights.scope("model.decoder"), p.weights, /*tied=*/true, p.formats.text) {
    const auto& c = encoder_.config();
    if (features_.config().bins != c.bins || features_.config().chunk_frames() != c.frames()) {
      fail<ModelError>("preprocessor_config.json makes windows of ",
                       features_.config().chunk_frames(), " frames of ", features_.config().bins,
                       " bins, the encoder takes ", c.frames(), " of ", c.bins);
    }
    if (c.hidden_size != decoder_.config().hidden_size) {
      fail<ModelError>("the encoder's rows of ", c.hidden_size,
                       " numbers do not fit the decoder's ", decoder_.config().hidden_size);
    }
    p.weights.finish([](std::string_view name) { return name == "proj_out.weight"; });
    speech_.tokens = SpeechTokens::find(p.tokenizer);
    speech_.features = &features_;
    speech_.window_frames = c.frames();
    read_generation_config(p.folder / "generation_config.json");
    speech_.tokens.check(decoder_.config().vocab_size);
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::size_t weight_bytes() const override { return encoder_.bytes() + decoder_.bytes(); }
  void describe(ModelInfo& info) const override {
    info.family = "whisper";
    info.sound_rate = sound_rate();
  }

  bool reads_sounds() const override { return true; }
  const Speech* speech() const override { return &speech_; }
  std::int64_t sound_rate() const override { return features_.config().rate; }

  /// One window, cut or padded; longer sounds are transcribed window by window.
  MediumLayout sound_layout(std::int64_t) const override {
    const auto& c = encoder_.config();
    MediumLayout out;
    out.pieces = {Piece{c.positions, c.positions}};
    out.bytes = c.frames() * c.bins * std::int64_t(sizeof(float));
    return out;
  }

  audio::PreparedSound preprocess_sound(const Context& ctx,
                                        std::span<const float> samples) const override {
    const auto& c = encoder_.config();
    auto mel = std::make_shared<Tensor>(float_tensor({c.frames(), c.bins}));
    features_(ctx, samples, features_.config().chunk_samples(), mel->view<float>());
    return {std::move(mel), 0};
  }

  std::vector<NamedTensor> processor_output(const audio::PreparedSound& sound) const override {
    const auto mel = sound.mel->view<float>();
    NamedTensor out{"input_features", float_tensor({1, mel.cols(), mel.rows()})};
    float* to = out.values.view<float>().data();
    for (std::int64_t bin = 0; bin < mel.cols(); bin++) {
      for (std::int64_t i = 0; i < mel.rows(); i++) *to++ = mel.row(i)[bin];
    }
    std::vector<NamedTensor> all;
    all.push_back(std::move(out));
    return all;
  }

  bool runs_on_device() const override { return true; }

  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& host,
              TensorView<float> out) const override {
    const auto& c = encoder_.config();
    Arena::Frame frame(host);
    std::vector<audio::WhisperWindow> windows;
    for (const PieceRef& piece : pieces) {
      const auto mel = host.floats({c.frames(), c.bins}, "mel");
      piece.sound->window(piece.index, mel);
      windows.push_back({mel, c.positions});
    }
    const Pass pass(ctx, host);
    const auto rows = unwritten(ctx, out, pass.arena());
    encoder_.forward(ctx, windows, pass.arena(), rows);
    bring_back(ctx, rows, out);
  }

  std::int64_t piece_macs(const Piece& piece) const override {
    return encoder_.macs(piece.patches);
  }

  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    const auto& c = encoder_.config();
    const std::int64_t windows = patches / c.positions;
    // Features, and keys and values of one decoder layer at a time.
    const auto floats = windows * c.frames() * c.bins + 3 * rows * c.hidden_size;
    return encoder_.scratch_bytes(patches) + std::size_t(floats) * sizeof(float);
  }

 private:
  void read_generation_config(const std::filesystem::path& path) {
    if (!std::filesystem::exists(path)) return;
    const Json config = Json::load(path);
    if (config.has("max_initial_timestamp_index")) {
      speech_.tokens.last_first_time = config.integer("max_initial_timestamp_index", 0);
    }
    // Tokenizers of English models have the language tokens too.
    if (!config.boolean("is_multilingual", true)) speech_.tokens.languages.clear();
  }

  audio::LogMel features_;
  audio::WhisperEncoder encoder_;
  language::Decoder decoder_;
  Speech speech_;
};

}  // namespace

std::unique_ptr<Family> make_whisper(const FamilyParts& parts) {
  return std::make_unique<Whisper>(parts);
}

}  // namespace chiasm
