// Pictures and sounds that a device prepares, beside the CPU's; Whisper on a device from a sound to
// its words.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "audio/log_mel.h"
#include "core/device.h"
#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/support/kernels.h"
#include "tests/support/l2_error.h"
#include "tests/support/plugin_variable.h"
#include "vision/resize.h"

#ifdef CHIASM_EMULATED_PLUGIN

namespace chiasm::testing {
namespace {

struct OnDevice {
  OnDevice() : plugin(CHIASM_EMULATED_PLUGIN), device(0), ctx(context(best_isa())) {
    ctx.device = &device;
  }
  PluginVariable plugin;
  Device device;
  Context ctx;
};

TEST(DeviceMedia, PicturesAreResizedToTheBit) {
  using vision::Filter;
  using vision::ResizeOrder;
  OnDevice on;
  const Context cpu = context(best_isa());
  std::mt19937 random(1);
  vision::Image image{61, 47, {}};
  for (std::int64_t i = 0; i < 61 * 47 * 3; i++) {
    image.rgb.push_back(std::uint8_t(random() & 255u));
  }
  struct Size {
    std::int64_t width, height;
    vision::Box box;
  };
  for (const Filter filter :
       {Filter::nearest, Filter::bilinear, Filter::bicubic, Filter::lanczos}) {
    for (const ResizeOrder order : {ResizeOrder::torchvision, ResizeOrder::pillow}) {
      for (const Size& to : {Size{28, 21, {0, 0, 28, 21}},
                             {90, 13, {0, 0, 90, 13}},
                             {61, 20, {3, 0, 50, 20}},
                             {25, 47, {0, 5, 25, 40}},
                             {80, 80, {7, 9, 30, 20}}}) {
        const auto resized = [&](const Context& ctx) {
          return vision::resize_region(ctx, image, to.width, to.height, to.box, filter, order).rgb;
        };
        EXPECT_EQ(resized(on.ctx), resized(cpu))
            << int(filter) << " " << int(order) << " " << to.width << " x " << to.height;
      }
    }
  }
}

/// Gliding tones over a little noise, then silence.
audio::Waveform tones(double seconds) {
  audio::Waveform sound;
  sound.rate = 16'000;
  std::mt19937 random(2);
  std::normal_distribution<float> noise(0, 0.01f);
  const auto count = std::int64_t(seconds * double(sound.rate));
  for (std::int64_t i = 0; i < count; i++) {
    const double t = double(i) / double(sound.rate);
    const double loud = std::max(0.0, std::sin(9 * t)) * 0.3;
    const double tone = std::sin(2 * 3.14159265 * (300 + 200 * t) * t) +
                        std::sin(2 * 3.14159265 * (1700 - 90 * t) * t);
    sound.samples.push_back(float(loud * tone) + noise(random));
  }
  return sound;
}

TEST(DeviceMedia, LogMelFeaturesAreTheCpus) {
  OnDevice on;
  const audio::LogMel features({});
  const audio::Waveform sound = tones(0.9);
  constexpr std::int64_t kLength = 16'000;  // a tenth of it silent
  const std::int64_t frames = features.frames(kLength), bins = features.config().bins;
  std::vector<float> want(std::size_t(frames * bins)), got(want.size());
  features(context(best_isa()), sound.samples, kLength, view(want, {frames, bins}));
  features(on.ctx, sound.samples, kLength, view(got, {frames, bins}));
  const auto [least, most] = std::minmax_element(want.begin(), want.end());
  for (std::size_t i = 0; i < want.size(); i++) {
    ASSERT_NEAR(got[i], want[i], 1e-5f * (*most - *least)) << "number " << i;
  }
}

Model whisper(const std::string& device, const std::string& dtype,
              const std::string& quantize = "") {
  const PluginVariable plugin(CHIASM_EMULATED_PLUGIN);
  LoadOptions options;
  options.device = device;
  options.dtype = dtype;
  options.quantize = quantize;
  options.threads = 2;
  return Model::load(golden_root() / "whisper" / "tiny", options);
}

// The CPU is held to transformers by tests/python/test_whisper.py, with bounds of 1e-4 and 1e-2.
TEST(DeviceWhisper, EncoderLogitsAndWordsAreTheCpus) {
  const auto sound = AudioInput::from_samples(tones(2.3));
  Request request;
  request.token_ids = {257, 260, 263, 70, 71, 72};
  request.audio = {sound};
  Model cpu = whisper("cpu", "float32"), device = whisper("cuda", "float32");
  EXPECT_NE(device.info().device, "cpu");
  EXPECT_LE(l2_error(device.encode_audio(sound), cpu.encode_audio(sound)), 1e-4);
  const Tensor want = cpu.logits(request);
  EXPECT_LE(l2_error(device.logits(request), want), 1e-4);
  EXPECT_LE(l2_error(whisper("cuda", "bfloat16").logits(request), want), 1e-2);
  // Weights of 8 bits, which are themselves about as far from those of the file.
  EXPECT_LE(l2_error(whisper("cuda", "float32", "int8").logits(request),
                     whisper("cpu", "float32", "int8").logits(request)),
            3e-2);
  const Transcript heard = device.transcribe(sound), spoken = cpu.transcribe(sound);
  ASSERT_EQ(heard.segments.size(), spoken.segments.size());
  for (std::size_t i = 0; i < heard.segments.size(); i++) {
    EXPECT_EQ(heard.segments[i].token_ids, spoken.segments[i].token_ids) << "segment " << i;
  }
}

}  // namespace
}  // namespace chiasm::testing

#endif
