#include "audio/sound.h"

#include <cmath>
#include <memory>
#include <string>

#include "audio/codec/codec.h"
#include "audio/resample.h"
#include "core/error.h"
#include "core/json.h"

namespace chiasm::audio {

namespace {

/// Mean over interleaved channels, in their order, as numpy.mean does; frames may be averaged in
/// place.
void average(std::span<float> samples, std::int64_t channels) {
  const auto width = std::size_t(channels);
  for (std::size_t i = 0; i * width < samples.size(); i++) {
    float sum = samples[i * width];
    for (std::size_t c = 1; c < width; c++) sum += samples[i * width + c];
    samples[i] = sum / float(channels);
  }
}

void check_finite(std::span<const float> samples, std::int64_t first, std::int64_t channels) {
  for (std::size_t i = 0; i < samples.size(); i++) {
    if (!std::isfinite(samples[i])) {
      fail<MediaError>("sample ", first + std::int64_t(i) / channels, " is not a finite number");
    }
  }
}

Waveform decode_all(SoundReader& reader, const SoundLimits& limits, std::int64_t rate) {
  const SoundInfo& info = reader.info();
  Waveform out;
  out.rate = rate == 0 ? info.rate : rate;
  Resampler resampler(info.rate, out.rate);
  constexpr std::int64_t kBlock = 1 << 14;  // frames
  std::vector<float> block(std::size_t(kBlock * info.channels));
  const auto most = std::int64_t(std::ceil(limits.max_seconds * double(info.rate)));
  std::int64_t done = 0;
  while (const std::int64_t got = reader.read(block.data(), kBlock)) {
    const std::span<float> samples(block.data(), std::size_t(got * info.channels));
    check_finite(samples, done, info.channels);
    average(samples, info.channels);
    done += got;
    if (done > most) {
      fail<MediaError>("is longer than the limit of ", limits.max_seconds, " seconds");
    }
    resampler.push(samples.first(std::size_t(got)), out.samples);
  }
  resampler.finish(out.samples);
  if (out.samples.empty()) fail<MediaError>("holds no sound: 0 samples");
  if (info.format == SoundFormat::flac && done < info.frames) {
    fail<MediaError>("FLAC data is truncated: ", done, " of ", info.frames, " samples are there");
  }
  return out;
}

/// Whether `b` begins as an MPEG audio frame of layer 1 to 3: 11 set bits, then no reserved value.
bool mpeg_frame(std::span<const std::byte> b) {
  const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(b[i]); };
  return b.size() >= 4 && at(0) == 0xff && (at(1) & 0xe0) == 0xe0 && (at(1) & 0x18) != 0x08 &&
         (at(1) & 0x06) != 0 && (at(2) & 0xf0) != 0xf0 && (at(2) & 0x0c) != 0x0c;
}

/// What the bytes look like, for errors.
std::string_view guess(std::string_view text) {
  const auto begins = [&](std::string_view magic, std::size_t at = 0) {
    return text.size() >= at + magic.size() && text.substr(at, magic.size()) == magic;
  };
  if (text.empty()) return "it is empty";
  if (begins("ftyp", 4)) return "it looks like MP4 or M4A";
  if (begins("FORM")) return "it looks like AIFF";
  if (begins("caff")) return "it looks like CAF";
  if (begins(".snd")) return "it looks like AU";
  if (begins("#!AMR")) return "it looks like AMR";
  if (begins("\x1a\x45\xdf\xa3")) return "it looks like Matroska or WebM";
  if (begins("\x89PNG") || begins("\xff\xd8\xff") || begins("GIF8")) {
    return "it looks like a picture";
  }
  for (const char c : text.substr(0, 256)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 9 || (byte > 13 && byte < 32)) return "its first bytes are unknown";
  }
  return "it looks like text";
}

}  // namespace

std::string_view name(SoundFormat format) {
  switch (format) {
    case SoundFormat::wav:
      return "WAV";
    case SoundFormat::flac:
      return "FLAC";
    case SoundFormat::ogg:
      return "Ogg";
    case SoundFormat::mp3:
      return "MP3";
  }
  return "";
}

SoundFormat recognise(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string_view four = text.substr(0, 4);
  if ((four == "RIFF" || four == "RIFX" || four == "RF64") && text.size() >= 12 &&
      text.substr(8, 4) == "WAVE") {
    return SoundFormat::wav;
  }
  if (four == "fLaC") return SoundFormat::flac;
  if (four == "OggS") return SoundFormat::ogg;
  if (text.substr(0, 3) == "ID3" || mpeg_frame(bytes)) return SoundFormat::mp3;
  fail<MediaError>("not a sound in a supported format (WAV, FLAC, Ogg, MP3): ", guess(text));
}

std::unique_ptr<SoundReader> open_sound(std::span<const std::byte> bytes) {
  const SoundFormat format = recognise(bytes);
  return format == SoundFormat::mp3 ? open_mp3(bytes) : open_sndfile(bytes, format);
}

SoundInfo read_header(std::span<const std::byte> bytes) { return open_sound(bytes)->info(); }

void check_limits(const SoundInfo& info, std::size_t bytes, const SoundLimits& limits) {
  if (bytes > limits.max_bytes) {
    fail<MediaError>("a file of ", bytes, " bytes, the limit is ", limits.max_bytes);
  }
  if (info.channels < 1 || info.channels > limits.max_channels) {
    fail<MediaError>("has ", info.channels, " channels, the limit is ", limits.max_channels);
  }
  if (info.rate < kMinRate || info.rate > kMaxRate) {
    fail<MediaError>("has a sample rate of ", info.rate, " Hz, expected ", kMinRate, " to ",
                     kMaxRate);
  }
  if (info.frames < 1) fail<MediaError>("holds no sound: 0 samples");
  if (info.seconds() > limits.max_seconds) {
    fail<MediaError>("is ", info.seconds(), " seconds long, the limit is ", limits.max_seconds);
  }
}

Waveform decode(std::span<const std::byte> bytes, const SoundLimits& limits, std::int64_t rate) {
  if (bytes.size() > limits.max_bytes) check_limits({}, bytes.size(), limits);
  try {
    const auto reader = open_sound(bytes);
    check_limits(reader->info(), bytes.size(), limits);
    return decode_all(*reader, limits, rate);
  } catch (const std::bad_alloc&) {
    fail<MediaError>("not enough memory for its samples");
  }
}

Waveform decode_file(const std::filesystem::path& path, const SoundLimits& limits,
                     std::int64_t rate) {
  std::string bytes;
  try {
    bytes = read_file(path, limits.max_bytes);
  } catch (const ModelError& e) {
    throw MediaError(e.what());
  }
  return in_context(path.string(),
                    [&] { return decode(std::as_bytes(std::span(bytes)), limits, rate); });
}

}  // namespace chiasm::audio
