#pragma once
/// Sounds and golden values of the audio tests; see tests/reference/make_audio_golden.py.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "audio/sound.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "tests/support/safetensors_bytes.h"

namespace chiasm::testing {

inline std::filesystem::path audio_folder() {
  return std::filesystem::path(CHIASM_SOURCE_DIR) / "tests/golden/audio";
}

inline const Json& audio_golden() {
  static const Json golden = Json::load(audio_folder() / "golden.json");
  return golden;
}

inline std::string sound_bytes(const std::string& file) {
  return read_file(audio_folder() / "sounds" / file, std::size_t(1) << 20);
}

inline audio::Waveform decoded_sound(const std::string& bytes, std::int64_t rate = 0,
                                     const audio::SoundLimits& limits = {}) {
  return audio::decode(std::as_bytes(std::span(bytes)), limits, rate);
}

/// Kept values of a golden array, and how many the whole has.
struct KeptValues {
  std::int64_t count = 1, stride = 1;
  double norm = 0;
  std::vector<float> values;
};

inline KeptValues kept_values(const Json& j) {
  static const std::string bytes =
      read_file(audio_folder() / "golden.safetensors", std::size_t(16) << 20);
  static const auto tensors =
      parse_safetensors(std::as_bytes(std::span(bytes)), "golden.safetensors");
  KeptValues out;
  for (const std::int64_t d : j["shape"].integers()) out.count *= d;
  out.stride = j["stride"].integer();
  out.norm = j["norm"].number();
  const TensorEntry& entry = tensors.at(j["tensor"].str());
  out.values.resize(std::size_t(entry.shape.count()));
  std::memcpy(out.values.data(), entry.bytes.data(), entry.bytes.size());
  return out;
}

/// The largest difference from the kept values, or from the norm relative to it; infinite for
/// another number of values, NaN or infinite ones.
inline double largest_error(std::span<const float> got, const KeptValues& want) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (std::int64_t(got.size()) != want.count) return kWrong;
  double worst = 0, norm = 0;
  for (const float v : got) {
    if (!std::isfinite(v)) return kWrong;
    norm += double(v) * double(v);
  }
  for (std::size_t i = 0; i < want.values.size(); i++) {
    const double v = got[i * std::size_t(want.stride)];
    worst = std::max(worst, std::fabs(v - double(want.values[i])));
  }
  if (want.norm > 0) worst = std::max(worst, std::fabs(std::sqrt(norm) / want.norm - 1));
  return worst;
}

/// A RIFF WAV file of 16-bit samples, or of whatever `data` and `bits` are.
inline std::string wav_bytes(std::string_view data, int channels, int rate, int bits,
                             int format = 1) {
  const auto number = [](std::uint64_t v, int bytes) { return little_endian(v, bytes); };
  const int frame = channels * bits / 8;
  const std::string body = "WAVEfmt " + number(16, 4) + number(std::uint64_t(format), 2) +
                           number(std::uint64_t(channels), 2) + number(std::uint64_t(rate), 4) +
                           number(std::uint64_t(rate) * std::uint64_t(frame), 4) +
                           number(std::uint64_t(frame), 2) + number(std::uint64_t(bits), 2) +
                           "data" + number(data.size(), 4) + std::string(data);
  return "RIFF" + number(body.size(), 4) + body;
}

}  // namespace chiasm::testing
