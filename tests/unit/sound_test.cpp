/// Sounds decode to what librosa's decoder and resampler give; hostile bytes give a sound or a
/// MediaError.
#include "audio/sound.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "audio/resample.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/support/sounds.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/all_close.h"

namespace chiasm::audio {
namespace {

using namespace chiasm::testing;

// Integer samples are exact up to the order of a mean's additions; Vorbis, Opus and MP3 decoders
// compute in float32, and differ between versions of their libraries by a few units in the last
// place of 16 bits (3e-5). Resampled values differ by float32 rounding in libsoxr's filters.
double bound(const std::string& file) {
  return file.ends_with(".ogg") || file.ends_with(".mp3") ? 1e-4 : 2e-7;
}

TEST(Sound, DecodesAsLibrosa) {
  const Json cases = audio_golden()["waveforms"];
  ASSERT_GE(cases.size(), 18u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    const std::string file = cases[i]["file"].str();
    SCOPED_TRACE(file);
    const std::string bytes = sound_bytes(file);
    const SoundInfo info = read_header(std::as_bytes(std::span(bytes)));
    EXPECT_EQ(info.rate, cases[i]["rate"].integer());
    EXPECT_EQ(info.channels, cases[i]["channels"].integer());
    const Waveform sound = decoded_sound(bytes);
    EXPECT_EQ(sound.rate, info.rate);
    EXPECT_LE(largest_error(sound.samples, kept_values(cases[i]["decoded"])), bound(file));
    const Waveform resampled = decoded_sound(bytes, 16000);
    EXPECT_EQ(resampled.rate, 16000);
    EXPECT_LE(largest_error(resampled.samples, kept_values(cases[i]["at_16khz"])),
              bound(file) + 1e-6);
  }
}

TEST(Sound, ResamplesTheSameHoweverTheStreamIsCut) {
  const auto samples = random_floats(50'000, 3, 0, 0.2f);
  for (const auto& [from, to] : {std::pair{44'100, 16'000}, {8'000, 16'000}, {16'000, 16'000}}) {
    const Waveform whole = resample({from, samples}, to);
    EXPECT_NEAR(double(whole.samples.size()), 50'000.0 * to / from, 1);
    for (const std::size_t piece : {1u, 777u, 16'384u}) {
      Resampler resampler(from, to);
      std::vector<float> out;
      for (std::size_t at = 0; at < samples.size(); at += piece) {
        const std::size_t count = std::min(piece, samples.size() - at);
        resampler.push({samples.data() + at, count}, out);
      }
      resampler.finish(out);
      EXPECT_TRUE(bit_equal(out, whole.samples)) << from << " to " << to << " by " << piece;
    }
  }
}

TEST(Sound, RefusesWhatIsNoSoundWithAGuess) {
  const auto refused = [](const std::string& bytes, std::initializer_list<std::string_view> words) {
    return throws<MediaError>([&] { (void)decoded_sound(bytes); }, words);
  };
  EXPECT_TRUE(refused("", {"supported format", "empty"}));
  EXPECT_TRUE(refused("Dear diary, today I pretended to be a sound.\n", {"looks like text"}));
  EXPECT_TRUE(refused(std::string("\0\0\0\x18", 4) + "ftypM4A ", {"MP4"}));
  EXPECT_TRUE(refused("\x89PNG\r\n\x1a\n", {"picture"}));
  EXPECT_TRUE(refused("RIFF\x10", {"supported format"}));
  EXPECT_TRUE(refused(std::string("RIFF\x04\0\0\0WAVE", 12), {"WAV"}));
  EXPECT_TRUE(refused("fLaC", {"FLAC"}));
  EXPECT_TRUE(refused("OggS", {"Ogg"}));
  EXPECT_TRUE(refused("ID3\x04", {"MP3"}));
}

TEST(Sound, RefusesEmptyAndAbsurdSounds) {
  const auto refused = [](const std::string& bytes, std::initializer_list<std::string_view> words,
                          const SoundLimits& limits = {}) {
    return throws<MediaError>([&] { (void)decoded_sound(bytes, 16000, limits); }, words);
  };
  const std::string second(32'000, '\1');
  EXPECT_TRUE(refused(wav_bytes("", 1, 16'000, 16), {"0 samples"}));
  EXPECT_TRUE(refused(wav_bytes(second, 1, 10, 16), {"sample rate of 10 Hz"}));
  EXPECT_TRUE(refused(wav_bytes(second, 1, 2'000'000'000, 16), {"sample rate of 2000000000 Hz"}));
  EXPECT_TRUE(refused(wav_bytes(second, 200, 16'000, 16), {"200 channels"}));
  SoundLimits limits;
  limits.max_seconds = 0.5;
  EXPECT_TRUE(refused(wav_bytes(second, 1, 16'000, 16), {"1 seconds", "limit is 0.5"}, limits));
  limits = {};
  limits.max_bytes = 1000;
  EXPECT_TRUE(refused(wav_bytes(second, 1, 16'000, 16), {"32044 bytes", "1000"}, limits));
  const std::string not_numbers = float_bytes({0.5f, std::nanf(""), 0.25f});
  EXPECT_TRUE(refused(wav_bytes(not_numbers, 1, 16'000, 32, 3), {"sample 1 is not a finite"}));
}

TEST(Sound, TakesWhatIsOddButSound) {
  const std::string one = little_endian(0x4000, 2);
  EXPECT_EQ(decoded_sound(wav_bytes(one, 1, 16'000, 16)).samples, std::vector<float>{0.5f});
  std::string eight;
  for (int c = 0; c < 8; c++) eight += little_endian(std::uint64_t(c * 0x100000), 3);
  EXPECT_EQ(decoded_sound(wav_bytes(eight, 8, 48'000, 24)).samples, std::vector<float>{0.4375f});
  // A header that claims more than there is, as a recorder that was cut off leaves it.
  std::string cut = wav_bytes(std::string(2000, '\2'), 1, 8'000, 16);
  cut.resize(cut.size() - 1000);
  EXPECT_EQ(decoded_sound(cut).samples.size(), 500u);
  const std::string mp3 = sound_bytes("mp3_mono.mp3");
  const Waveform whole = decoded_sound(mp3), half = decoded_sound(mp3.substr(0, mp3.size() / 2));
  EXPECT_GT(half.samples.size(), 0u);
  EXPECT_LT(half.samples.size(), whole.samples.size());
  const std::string flac = sound_bytes("flac_24.flac");
  EXPECT_TRUE(
      throws<MediaError>([&] { (void)decoded_sound(flac.substr(0, flac.size() / 2)); }, {"FLAC"}));
}

TEST(Sound, FilesAreNamedInErrors) {
  const TempFolder folder;
  folder.write("notes.wav", "not a sound\n");
  EXPECT_TRUE(throws<MediaError>([&] { (void)decode_file(folder.path() / "notes.wav"); },
                                 {"notes.wav", "looks like text"}));
  EXPECT_TRUE(
      throws<MediaError>([&] { (void)decode_file(folder.path() / "none.wav"); }, {"none.wav"}));
}

/// True when `bytes` decode or are refused with a MediaError; anything else fails the test.
bool decodes(const std::string& bytes) {
  SoundLimits limits;
  limits.max_seconds = 60;
  try {
    EXPECT_FALSE(decoded_sound(bytes, 16'000, limits).samples.empty());
    return true;
  } catch (const MediaError& e) {
    EXPECT_NE(std::string_view(e.what()), "");
    return false;
  }
}

TEST(Sound, DamagedFilesGiveASoundOrAnError) {
  int refused = 0, total = 0;
  std::mt19937 random(5);
  const Json cases = audio_golden()["waveforms"];
  for (std::size_t i = 0; i < cases.size(); i++) {
    const std::string bytes = sound_bytes(cases[i]["file"].str());
    SCOPED_TRACE(cases[i]["file"].str());
    for (std::size_t k = 0; k < 20; k++) {
      std::string damaged = bytes.substr(0, bytes.size() * k / 20);
      refused += decodes(damaged) ? 0 : 1;
      damaged = bytes;
      for (int bit = 0; bit < 8; bit++) {
        damaged[random() % damaged.size()] ^= char(1 << (random() % 8));
      }
      refused += decodes(damaged) ? 0 : 1;
      total += 2;
    }
  }
  EXPECT_GT(refused, total / 20);
  EXPECT_LT(refused, total);
}

}  // namespace
}  // namespace chiasm::audio
