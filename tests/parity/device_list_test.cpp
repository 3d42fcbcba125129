// One model on two emulated devices: answers are those of one, and one that is lost takes nobody
// else's request with it.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/support/emulated_failure.h"
#include "tests/support/expect_error.h"
#include "tests/support/plugin_variable.h"

#ifdef CHIASM_EMULATED_PLUGIN

namespace chiasm::testing {
namespace {

Model load(const std::string& device, const std::string& folder = "models/llama_gqa") {
  const PluginVariable plugin(CHIASM_EMULATED_PLUGIN);
  LoadOptions options;
  options.device = device;
  options.dtype = "float32";
  options.threads = 2;
  options.batch_invariant = true;
  options.max_context = 256;
  return Model::load(golden_root() / folder, options);
}

Model load_whisper(const std::string& device) {
  const PluginVariable plugin(CHIASM_EMULATED_PLUGIN);
  LoadOptions options;
  options.device = device;
  options.dtype = "bfloat16";
  options.threads = 2;
  return Model::load(golden_root() / "whisper/tiny", options);
}

/// Drawn with a seed: the i-th of several.
Request request(std::int64_t i, std::int64_t max_tokens = 4) {
  Request out;
  for (std::int64_t k = 0; k < 4 + 3 * i; k++)
    out.token_ids.push_back(std::int32_t(40 + 7 * k + i));
  out.options.max_tokens = max_tokens;
  out.options.ignore_eos = true;
  out.options.temperature = 0.8;
  out.options.seed = std::uint64_t(100 + i);
  return out;
}

std::vector<std::vector<std::int32_t>> answers(Model& model, std::int64_t count) {
  std::vector<Request> requests;
  for (std::int64_t i = 0; i < count; i++) requests.push_back(request(i));
  std::vector<std::vector<std::int32_t>> out;
  for (const Result& result : model.generate_all(requests)) out.push_back(result.token_ids);
  return out;
}

/// Devices that have taken a step, which tells how many pages there are.
std::vector<std::string> used(const Model& model) {
  std::vector<std::string> out;
  for (const DeviceState& d : model.devices()) {
    if (d.stats.pages > 0) out.push_back(d.device);
  }
  return out;
}

using Words = std::vector<std::string>;

TEST(DeviceLists, ABatchRunsOnBothAndGivesTheAnswersOfOne) {
  Model one = load("cuda:1"), two = load("cuda:0,cuda:1");
  EXPECT_EQ(two.info().device, "emulated device, emulated device");
  EXPECT_EQ(used(two), Words{});
  EXPECT_EQ(answers(two, 4), answers(one, 4));
  EXPECT_EQ(used(two), (Words{"cuda:0", "cuda:1"}));
  EXPECT_EQ(used(one), Words{"cuda:1"});
  const DeviceState state = two.devices()[1];
  EXPECT_EQ(state.failure, "");
  EXPECT_EQ(state.memory_bytes, std::int64_t(1) << 30);
  EXPECT_GT(state.kv_bytes, 0);
  EXPECT_EQ(state.weight_bytes, two.info().weight_bytes);
  EXPECT_LE(state.kv_bytes, state.memory_bytes);
}

TEST(DeviceLists, EachDeviceGivesTheSameDraws) {
  Model two = load("cuda:all");
  EXPECT_EQ(two.devices().size(), 2);
  const std::vector<std::int32_t> first = two.generate(request(2)).token_ids;
  EXPECT_EQ(used(two), Words{"cuda:0"});
  const std::vector<std::int32_t> second = two.generate(request(2)).token_ids;
  EXPECT_EQ(used(two), (Words{"cuda:0", "cuda:1"}));
  EXPECT_EQ(second, first);
}

TEST(DeviceLists, SeveralAnswersAndScoresAreThoseOfOne) {
  Model one = load("cuda"), two = load("cuda:0,cuda:1");
  const std::vector<std::string> words{" a cat", " two dogs"};
  EXPECT_EQ(two.score(request(1), words), one.score(request(1), words));
  const auto want = one.choices(request(3), 3), got = two.choices(request(3), 3);
  for (std::size_t i = 0; i < want.size(); i++) EXPECT_EQ(got[i].token_ids, want[i].token_ids);
}

TEST(DeviceLists, ACancelledRequestEndsAndOthersGoOn) {
  Model two = load("cuda:0,cuda:1");
  std::vector<std::int32_t> beside;
  std::thread other([&] { beside = two.generate(request(1, 12)).token_ids; });
  const Result cancelled = two.generate(request(2, 200), [](std::string_view) { return false; });
  other.join();
  EXPECT_EQ(cancelled.finish_reason, "cancelled");
  EXPECT_EQ(beside, load("cuda").generate(request(1, 12)).token_ids);
}

TEST(DeviceLists, OneThatIsLostTakesItsOwnRequestsAlone) {
  Model two = load("cuda:0,cuda:1");
  const std::vector<std::int32_t> want = load("cuda:0").generate(request(1, 12)).token_ids;
  const EmulatedFailure lost(CHIASM_EMULATED_PLUGIN, 1);
  // On the first device, meanwhile: as a piece of text is heard, the second one fails.
  std::vector<std::int32_t> beside;
  bool begun = false;
  const auto lose = [&](std::string_view) {
    if (!std::exchange(begun, true)) {
      EXPECT_TRUE(throws<DeviceError>(
          [&] {
            two.generate(request(2, 100), [&](std::string_view) {
              lost.begin("fell off the bus");
              return true;
            });
          },
          {"cuda:1", "fell off the bus"}));
    }
    return true;
  };
  beside = two.generate(request(1, 12), lose).token_ids;
  EXPECT_TRUE(begun);
  EXPECT_EQ(beside, want);
  EXPECT_EQ(two.devices()[0].failure, "");
  EXPECT_NE(two.devices()[1].failure.find("fell off the bus"), std::string::npos);
  // What comes now goes to the one that is left, batches too.
  EXPECT_EQ(answers(two, 4), answers(*std::make_unique<Model>(load("cuda:0")), 4));
  EXPECT_EQ(two.devices()[1].stats.running, 0);

  const EmulatedFailure both(CHIASM_EMULATED_PLUGIN, 0);
  both.begin("fell off it as well");
  EXPECT_TRUE(throws<DeviceError>([&] { two.generate(request(0)); }, {"fell off"}));
}

TEST(DeviceLists, ABatchThatLosesADeviceSaysWhich) {
  Model two = load("cuda:0,cuda:1");
  const EmulatedFailure lost(CHIASM_EMULATED_PLUGIN, 1);
  lost.begin("fell off the bus");
  EXPECT_TRUE(throws<DeviceError>([&] { answers(two, 4); }, {"cuda:1", "fell off the bus"}));
  EXPECT_EQ(answers(two, 4), answers(*std::make_unique<Model>(load("cuda:0")), 4));
}

TEST(DeviceLists, ASoundStaysOnOneDevice) {
  Model one = load_whisper("cuda"), two = load_whisper("cuda:0,cuda:1");
  const AudioInput sound = golden_sound({0, 8000});
  const Transcript want = one.transcribe(sound);
  std::vector<Transcript> got(2);
  std::vector<std::thread> threads;
  for (Transcript& out : got) {
    threads.emplace_back([&] { out = two.transcribe(sound); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(used(two), (Words{"cuda:0", "cuda:1"}));
  for (const Transcript& t : got) EXPECT_EQ(t.text, want.text);
}

TEST(DeviceLists, WhatCannotBeIsRefused) {
  EXPECT_TRUE(throws<DeviceError>([] { load("cuda:0,cuda:2"); }, {"cuda:2", "no such device"}));
  EXPECT_TRUE(throws<RequestError>([] { load("cuda:1,cuda:1"); }, {"cuda:1", "twice"}));
  EXPECT_TRUE(throws<RequestError>([] { load("cuda:0,cpu"); }, {"cpu", "devices of one kind"}));
  EXPECT_TRUE(throws<DeviceError>([] { load("cuda:0,cuda:1", "models/lfm2_mixed"); },
                                  {"short convolutions", "cpu"}));
  Model two = load("cuda:0,cuda:1");
  EXPECT_THROW(two.load_adapter("a", golden_root() / "lora"), DeviceError);
}

}  // namespace
}  // namespace chiasm::testing

#endif
