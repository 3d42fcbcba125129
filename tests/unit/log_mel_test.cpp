/// Log-mel features equal transformers' WhisperFeatureExtractor.
#include "audio/log_mel.h"

#include <gtest/gtest.h>

#include <complex>
#include <numbers>

#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/support/sounds.h"
#include "tests/unit/all_close.h"

namespace chiasm::audio {
namespace {

using namespace chiasm::testing;

TEST(RealFft, EqualsTheDefinition) {
  for (const std::int64_t size : {4, 6, 10, 12, 30, 32, 400, 480}) {
    const RealFft fft(size);
    const auto noise = random_floats(size * RealFft::kLanes, 1);
    const std::vector<double> x(noise.begin(), noise.end());
    std::vector<double> scratch(std::size_t(fft.scratch()));
    std::vector<double> out(std::size_t(fft.bins() * RealFft::kLanes));
    fft.power(x.data(), scratch.data(), out.data());
    for (std::int64_t k = 0; k < fft.bins(); k++) {
      for (std::int64_t lane = 0; lane < RealFft::kLanes; lane++) {
        std::complex<double> sum = 0;
        for (std::int64_t t = 0; t < size; t++) {
          const double angle = -2 * std::numbers::pi * double(k * t % size) / double(size);
          sum += x[std::size_t(t * RealFft::kLanes + lane)] * std::polar(1.0, angle);
        }
        // Of a sum of `size` terms of order 1.
        EXPECT_NEAR(out[std::size_t(k * RealFft::kLanes + lane)], std::norm(sum),
                    1e-11 * double(size))
            << size << " bin " << k;
      }
    }
  }
  for (const std::int64_t size : {0, 2, 5, 14, 401, 2 << 20}) EXPECT_FALSE(RealFft::supports(size));
}

std::vector<float> golden_sound(const std::string& name, std::int64_t repeat) {
  if (name == "silence") return std::vector<float>(16'000, 0.0f);
  if (name == "one_sample") return {0.5f};
  const auto spoken = decoded_sound(sound_bytes("speech.flac")).samples;
  std::vector<float> out;
  for (std::int64_t i = 0; i < repeat; i++) out.insert(out.end(), spoken.begin(), spoken.end());
  if (name == "quiet") {
    for (float& v : out) v *= 1.0f / 4096;
  }
  return out;
}

/// The reference's order: [bins, frames].
std::vector<float> transposed(const std::vector<float>& x, std::int64_t cols) {
  std::vector<float> out;
  for (std::int64_t c = 0; c < cols; c++) {
    for (std::size_t i = std::size_t(c); i < x.size(); i += std::size_t(cols)) out.push_back(x[i]);
  }
  return out;
}

std::vector<float> features(const Context& ctx, const LogMel& mel, std::span<const float> samples,
                            std::int64_t length) {
  const std::int64_t bins = mel.config().bins, frames = mel.frames(length);
  std::vector<float> out(std::size_t(frames * bins));
  mel(ctx, samples, length, view(out, {frames, bins}));
  return out;
}

// The reference's transform is in float32: a bin eight decades of power under the loudest one,
// where features are cut off, carries its rounding, of 1e-4 of its amplitude. Values are of
// order 1.
constexpr double kBound = 1e-4;

TEST(LogMel, EqualsTransformers) {
  const Context ctx = context(best_isa());
  const Json cases = audio_golden()["mels"];
  ASSERT_EQ(cases.size(), 10u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    const std::string name = cases[i]["sound"].str();
    LogMelConfig config;
    config.bins = cases[i]["bins"].integer();
    SCOPED_TRACE(name + " in bins: " + std::to_string(config.bins));
    const LogMel mel(config);
    const auto sound = golden_sound(name, cases[i]["repeat"].integer());
    const auto padded = features(ctx, mel, sound, config.chunk_samples());
    EXPECT_LE(largest_error(transposed(padded, config.bins), kept_values(cases[i]["padded"])),
              kBound);
    if (!cases[i].has("whole")) continue;
    const auto whole = features(ctx, mel, sound, std::int64_t(sound.size()));
    EXPECT_LE(largest_error(transposed(whole, config.bins), kept_values(cases[i]["whole"])),
              kBound);
  }
}

TEST(LogMel, IsTheSameForAnyNumberOfThreadsAndPlaceInAGroup) {
  const LogMel mel({});
  auto sound = random_floats(40'000, 2, 0, 0.1f);
  sound[20'000] = 3;  // the loudest frames stay inside when the beginning is dropped
  const auto one = features(context(best_isa(), 1), mel, sound, 40'000);
  EXPECT_TRUE(bit_equal(features(context(best_isa(), 3), mel, sound, 40'000), one));
  // Dropping three frames moves every frame to another lane.
  const std::vector<float> later(sound.begin() + 480, sound.end());
  const auto moved = features(context(best_isa()), mel, later, 40'000 - 480);
  const std::size_t skip = 5 * 80;  // frames that see the new edge
  EXPECT_TRUE(bit_equal(std::span(moved).subspan(skip, 200 * 80),
                        std::span(one).subspan(skip + 3 * 80, 200 * 80)));
}

TEST(LogMel, RefusesWhatMakesNoSense) {
  const auto refused = [](std::string_view json, std::string_view word) {
    return throws<ModelError>(
        [&] { (void)LogMelConfig::from_json(Json::parse(json, "preprocessor_config.json")); },
        {"preprocessor_config.json", word});
  };
  EXPECT_TRUE(refused(R"({"feature_size": 0})", "feature_size 0"));
  EXPECT_TRUE(refused(R"({"n_fft": 401})", "n_fft 401"));
  EXPECT_TRUE(refused(R"({"hop_length": 500})", "hop_length 500"));
  EXPECT_TRUE(refused(R"({"chunk_length": -1})", "chunk_length -1"));
  EXPECT_TRUE(refused(R"({"dither": 0.1})", "dither"));
  const LogMel mel({});
  std::vector<float> out(80);
  EXPECT_TRUE(throws<RequestError>(
      [&] {
        mel(context(best_isa()), out, 200, view(out, {1, 80}));
      },
      {"201 are needed"}));
}

}  // namespace
}  // namespace chiasm::audio
