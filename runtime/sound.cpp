// Sounds of a request: their bytes, their places in a prompt, their samples.
#include <cmath>

#include "audio/resample.h"
#include "core/error.h"
#include "core/json.h"
#include "runtime/prompt.h"

namespace chiasm {

AudioInput AudioInput::from_file(const std::string& path, std::size_t max_bytes) {
  try {
    return from_bytes(read_file(path, max_bytes), path);
  } catch (const ModelError& e) {
    throw MediaError(e.what());
  }
}

AudioInput AudioInput::from_bytes(std::string bytes, std::string name) {
  AudioInput input;
  input.name = std::move(name);
  input.encoded = std::make_shared<const std::string>(std::move(bytes));
  return input;
}

AudioInput AudioInput::from_samples(audio::Waveform sound, std::string name) {
  AudioInput input;
  input.name = std::move(name);
  input.samples = std::make_shared<const audio::Waveform>(std::move(sound));
  return input;
}

namespace {

void check_samples(const audio::Waveform& sound, const audio::SoundLimits& limits) {
  const audio::SoundInfo info{audio::SoundFormat::wav, std::int64_t(sound.samples.size()),
                              sound.rate, 1};
  audio::check_limits(info, 0, limits);
  for (std::size_t i = 0; i < sound.samples.size(); i++) {
    if (!std::isfinite(sound.samples[i])) fail<MediaError>("sample ", i, " is not a finite number");
  }
}

}  // namespace

audio::Waveform waveform(const AudioInput& input, const audio::SoundLimits& limits,
                         std::int64_t rate) {
  return in_context(input.name, [&] {
    if (input.samples == nullptr) {
      return audio::decode(std::as_bytes(std::span(*input.encoded)), limits, rate);
    }
    check_samples(*input.samples, limits);
    return audio::resample(*input.samples, rate);
  });
}

PlacedMedium place(const Family& family, const AudioInput& input,
                   const audio::SoundLimits& limits) {
  PlacedMedium medium;
  medium.sound = input;
  in_context(input.name, [&] {
    audio::SoundInfo info;
    if (input.samples != nullptr) {
      check_samples(*input.samples, limits);
      info.frames = std::int64_t(input.samples->samples.size());
      info.rate = input.samples->rate;
      medium.hash = content_hash(std::as_bytes(std::span(input.samples->samples)),
                                 mix64(std::uint64_t(info.rate)));
    } else {
      const auto bytes = std::as_bytes(std::span(*input.encoded));
      info = audio::read_header(bytes);
      audio::check_limits(info, bytes.size(), limits);
      medium.hash = content_hash(bytes, 2);
      if (info.format == audio::SoundFormat::mp3 && family.sound_token()) {
        // Its header may only estimate the length, which says how many tokens there are.
        medium.sound =
            AudioInput::from_samples(audio::decode(bytes, limits, family.sound_rate()), input.name);
        info.frames = std::int64_t(medium.sound->samples->samples.size());
        info.rate = family.sound_rate();
      }
    }
    const double scale = double(family.sound_rate()) / double(info.rate);
    medium.layout = family.sound_layout(std::int64_t(std::llround(double(info.frames) * scale)));
  });
  return medium;
}

audio::PreparedSound prepare_sound(const Family& family, const Context& ctx,
                                   const PlacedMedium& medium, const audio::SoundLimits& limits) {
  if (medium.window) return *medium.window;
  const audio::Waveform sound = waveform(*medium.sound, limits, family.sound_rate());
  return in_context(medium.sound->name, [&] {
    const auto samples = std::int64_t(sound.samples.size());
    if (family.sound_layout(samples).tokens != medium.layout.tokens) {
      fail<MediaError>("decodes to another length than its header says");
    }
    return family.preprocess_sound(ctx, sound.samples);
  });
}

}  // namespace chiasm
