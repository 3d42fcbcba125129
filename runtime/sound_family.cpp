#include "runtime/sound_family.h"

#include <algorithm>
#include <utility>

#include "core/staged.h"

namespace chiasm {

SoundFamily::SoundFamily(const FamilyParts& p, const SoundFamilyOptions& options)
    : SoundFamily(p, options,
                  language::DecoderConfig::from_json(p.config["text_config"], options.text_type),
                  TextScopes::find(p.weights)) {}

SoundFamily::SoundFamily(const FamilyParts& p, const SoundFamilyOptions& options,
                         const language::DecoderConfig& text, const TextScopes& scopes)
    : options_(options),
      features_(audio::LogMelConfig::from_json(Json::load(p.folder / "preprocessor_config.json"))),
      encoder_(p.ctx, options.encoder,
               find_scope(p.weights, {"audio_tower", "model.audio_tower"}, "conv1.weight"),
               p.formats.vision, p.formats.plain),
      decoder_(p.ctx, text, scopes.model, scopes.head,
               p.config.boolean("tie_word_embeddings", !scopes.head.has("lm_head.weight")),
               p.formats.text),
      tied_(p.config.boolean("tie_word_embeddings", !scopes.head.has("lm_head.weight"))),
      placeholder_(p.tokenizer.token_text(options.token)) {
  if (features_.config().bins != options.encoder.bins) {
    fail<ModelError>("preprocessor_config.json makes frames of ", features_.config().bins,
                     " bins, the encoder takes ", options.encoder.bins);
  }
  if (placeholder_.empty()) {
    fail<ModelError>("tokenizer.json: the audio token ", options.token, " is missing");
  }
}

Weights SoundFamily::projector_scope(const FamilyParts& p, std::string_view probe) {
  return find_scope(p.weights, {"multi_modal_projector", "model.multi_modal_projector"}, probe);
}

void SoundFamily::finish(const FamilyParts& p) const {
  p.weights.finish([&](std::string_view name) {
    return is_unread(name) || (tied_ && name.ends_with("lm_head.weight"));
  });
}

std::size_t SoundFamily::weight_bytes() const {
  return encoder_.bytes() + projector_bytes() + decoder_.bytes();
}

void SoundFamily::describe(ModelInfo& info) const {
  info.family = std::string(options_.name);
  info.audio_token = placeholder_;
  info.sound_rate = sound_rate();
}

std::vector<std::int64_t> SoundFamily::windows(std::int64_t frames) const {
  std::vector<std::int64_t> out;
  for (std::int64_t at = 0; at < frames; at += window_frames()) {
    out.push_back(used_rows(std::min(frames - at, window_frames())));
  }
  return out;
}

MediumLayout SoundFamily::sound_layout(std::int64_t samples) const {
  const Length all = length(samples);
  MediumLayout out;
  for (const std::int64_t rows : windows(all.frames)) {
    out.pieces.push_back({rows, tokens(rows)});
    out.tokens += tokens(rows);
  }
  if (out.tokens == 0 || all.samples <= features_.config().window / 2) {
    fail<MediaError>(samples, " samples at ", sound_rate(), " Hz are too few for this model");
  }
  const std::int64_t floats = features_.frames(all.samples) * features_.config().bins + samples;
  out.bytes = floats * std::int64_t(sizeof(float));
  for (std::int64_t i = 0; i < out.tokens; i++) out.expansion += placeholder_;
  return out;
}

audio::PreparedSound SoundFamily::preprocess_sound(const Context& ctx,
                                                   std::span<const float> samples) const {
  const Length all = length(std::int64_t(samples.size()));
  auto mel = std::make_shared<Tensor>(
      float_tensor({features_.frames(all.samples), features_.config().bins}));
  features_(ctx, samples, all.samples, mel->view<float>());
  return {std::move(mel), 0, all.frames};
}

std::vector<NamedTensor> SoundFamily::processor_output(const audio::PreparedSound& sound) const {
  return input_features(sound, window_frames());
}

std::vector<NamedTensor> SoundFamily::input_features(const audio::PreparedSound& sound,
                                                     std::int64_t frames) {
  const auto mel = std::as_const(*sound.mel).view<float>();
  const std::int64_t windows = mel.rows() / frames, bins = mel.cols();
  std::vector<NamedTensor> out;
  out.push_back({"input_features", float_tensor({windows, bins, frames})});
  float* to = out.back().values.view<float>().data();
  for (std::int64_t w = 0; w < windows; w++) {
    for (std::int64_t bin = 0; bin < bins; bin++) {
      for (std::int64_t i = w * frames; i < (w + 1) * frames; i++) *to++ = mel.row(i)[bin];
    }
  }
  return out;
}

void SoundFamily::encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& host,
                         TensorView<float> out) const {
  std::vector<audio::WhisperWindow> parts;
  std::vector<std::int64_t> rows;
  std::int64_t made = 0;  // rows that leave the encoder
  for (const PieceRef& piece : pieces) {
    const audio::PreparedSound& sound = *piece.sound;
    const auto mel = std::as_const(*sound.mel).view<float>("log-mel features");
    const std::int64_t begin = piece.index * window_frames();
    const std::int64_t frames = std::min(window_frames(), sound.frames - begin);
    rows.push_back(used_rows(frames));
    const std::int64_t there = std::min(window_frames(), mel.rows() - begin);
    parts.push_back({mel.slice_rows(begin, there), rows.back()});
    made += rows.back() / encoder_.config().pooled;
  }
  const Pass pass(ctx, host);
  Arena& arena = pass.arena();
  const auto projected = unwritten(ctx, out, arena);
  const auto& c = encoder_.config();
  const auto features = arena.floats({made, c.hidden_size}, "features");
  encoder_.forward(ctx, parts, arena, features);
  project(ctx, features, rows, arena, projected);
  ctx.show("projector.out", projected);
  bring_back(ctx, projected, out);
}

std::size_t SoundFamily::encode_bytes(std::int64_t patches, std::int64_t rows) const {
  const std::int64_t features = patches * encoder_.config().hidden_size;
  const std::int64_t width = decoder_.config().hidden_size;
  return encoder_.scratch_bytes(patches) +
         std::size_t(features + rows * (projector_scratch() + width)) * sizeof(float);
}

}  // namespace chiasm
