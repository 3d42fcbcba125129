#pragma once
/// What audio language models share: log-mel windows through Whisper's encoder, a projector of
/// their own, rows among the words of a decoder of any kind.
#include <optional>
#include <string>
#include <vector>

#include "audio/log_mel.h"
#include "audio/whisper_encoder.h"
#include "runtime/family.h"
#include "runtime/scopes.h"

namespace chiasm {

/// In what such families differ, beside their projectors.
struct SoundFamilyOptions {
  std::string_view name;
  audio::WhisperEncoderConfig encoder;
  std::int32_t token;                    // that stands for one row of a sound
  std::string_view text_type = "llama";  // where text_config names none
  std::string before = {}, after = {};   // what is around a sound in a prompt
};

/// A family but for its projector, the lengths of its sounds and its turn.
class SoundFamily : public Family {
 public:
  const language::Decoder& decoder() const override { return decoder_; }
  std::size_t weight_bytes() const override;
  void describe(ModelInfo& info) const override;
  bool reads_sounds() const override { return true; }
  std::string_view sound_placeholder() const override { return placeholder_; }
  std::string sound_text() const override {
    return options_.before + placeholder_ + options_.after;
  }
  std::optional<std::int32_t> sound_token() const override { return options_.token; }
  std::int64_t sound_rate() const override { return features_.config().rate; }
  MediumLayout sound_layout(std::int64_t samples) const override;
  audio::PreparedSound preprocess_sound(const Context& ctx,
                                        std::span<const float> samples) const override;
  std::vector<NamedTensor> processor_output(const audio::PreparedSound& sound) const override;
  bool runs_on_device() const override { return true; }
  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& arena,
              TensorView<float> out) const override;
  std::int64_t piece_macs(const Piece& piece) const override {
    return encoder_.macs(piece.patches) + piece.rows * projector_macs();
  }
  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override;
  /// Words alone. (Pictures are refused before.)
  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& /*media*/) const override {
    return sound_turn(words, 0);
  }

 protected:
  SoundFamily(const FamilyParts& p, const SoundFamilyOptions& options);

  /// How far a sound's features go.
  struct Length {
    std::int64_t samples = 0;  // with the silence behind it
    std::int64_t frames = 0;   // that rows are made of
  };
  virtual Length length(std::int64_t samples) const = 0;
  /// Rows of the prompt that a window of `rows` rows of the encoder becomes; 0: too short for one.
  virtual std::int64_t tokens(std::int64_t rows) const = 0;
  /// Rows among those of `frames` frames that the encoder makes.
  virtual std::int64_t used_rows(std::int64_t frames) const { return (frames + 1) / 2; }
  /// features: what leaves the encoder, window after window; rows: of each window, before pooling.
  virtual void project(const Context& ctx, TensorView<const float> features,
                       std::span<const std::int64_t> rows, Arena& arena,
                       TensorView<float> out) const = 0;
  virtual std::size_t projector_bytes() const = 0;
  /// Multiply-adds of each row of `out`.
  virtual std::int64_t projector_macs() const = 0;
  /// Floats of scratch of project() for each row of `out`.
  virtual std::int64_t projector_scratch() const = 0;

  /// To be called when all weights are read. ModelError for what is left over.
  void finish(const FamilyParts& p) const;
  const audio::LogMel& features() const { return features_; }
  const audio::WhisperEncoder& encoder() const { return encoder_; }
  /// Samples and frames of one window of the encoder.
  std::int64_t window_samples() const { return window_frames() * features_.config().hop; }
  std::int64_t window_frames() const { return encoder_.config().frames(); }
  /// `input_features` [windows, bins, frames]: a prepared sound as extractors hand it on.
  static std::vector<NamedTensor> input_features(const audio::PreparedSound& sound,
                                                 std::int64_t frames);
  /// The scope of the projector, which has the tensor `probe`.
  static Weights projector_scope(const FamilyParts& p, std::string_view probe);

 private:
  SoundFamily(const FamilyParts& p, const SoundFamilyOptions& options,
              const language::DecoderConfig& text, const TextScopes& scopes);
  /// Rows of the encoder that each window of so many frames makes.
  std::vector<std::int64_t> windows(std::int64_t frames) const;

  SoundFamilyOptions options_;
  audio::LogMel features_;
  audio::WhisperEncoder encoder_;
  language::Decoder decoder_;
  bool tied_;
  std::string placeholder_;
};

}  // namespace chiasm
