#pragma once
/// Sounds from the outside world: encoded bytes in, one channel of float32 samples out.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace chiasm::audio {

/// What a sound may cost. Bytes, seconds and channels are checked on the header; a header that
/// tells less than the truth is caught while decoding.
struct SoundLimits {
  std::size_t max_bytes = std::size_t(1) << 30;  // of the encoded file
  double max_seconds = 4 * 3600;
  std::int64_t max_channels = 64;
};

enum class SoundFormat { wav, flac, ogg, mp3 };

std::string_view name(SoundFormat format);

/// What the first bytes of a file tell.
struct SoundInfo {
  SoundFormat format = SoundFormat::wav;
  std::int64_t frames = 0;  // samples of one channel; an estimate in some MP3 files
  std::int64_t rate = 0;    // frames a second
  std::int64_t channels = 0;

  double seconds() const { return rate > 0 ? double(frames) / double(rate) : 0; }
};

/// One channel of sound. Plain data.
struct Waveform {
  std::int64_t rate = 0;       // samples a second
  std::vector<float> samples;  // integer samples lie in [-1, 1); floating ones are as stored

  double seconds() const { return rate > 0 ? double(samples.size()) / double(rate) : 0; }
};

/// Sample rates that `decode` and `resample` take, Hz.
inline constexpr std::int64_t kMinRate = 1'000, kMaxRate = 768'000;

/// The format, by magic bytes and never by a name: WAV (RIFF, RF64), FLAC, Ogg (Vorbis, Opus,
/// FLAC) and MP3, with or without ID3 tags. MediaError for anything else, with a guess at what the
/// bytes are instead.
SoundFormat recognise(std::span<const std::byte> bytes);

/// Reads format, length, rate and channels without decoding. MediaError.
SoundInfo read_header(std::span<const std::byte> bytes);

/// MediaError naming the limit that a sound of `bytes` bytes exceeds, if any; also for sounds
/// without samples and for rates outside [kMinRate, kMaxRate].
void check_limits(const SoundInfo& info, std::size_t bytes, const SoundLimits& limits);

/// Decodes a sound, averages its channels and, unless `rate` is 0, resamples it to `rate`: the
/// numbers of librosa.load(file, sr=rate, mono=True), whose decoder and resampler (libsndfile,
/// libsoxr at high quality) these are. An MP3 that ends too early gives what is there; a FLAC file
/// that does is refused. Every failure is a MediaError; samples that are no numbers are one.
Waveform decode(std::span<const std::byte> bytes, const SoundLimits& limits = {},
                std::int64_t rate = 0);

/// The same for a file; errors name its path.
Waveform decode_file(const std::filesystem::path& path, const SoundLimits& limits = {},
                     std::int64_t rate = 0);

}  // namespace chiasm::audio
