// Steps of a device that are asked for before the tokens of the last one are read: the CPU's
// answers, wherever they end and whoever comes and goes, and keys that nobody regrets later.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <span>
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

constexpr std::int64_t kTokens = 12;

Model load(const std::string& device, std::int64_t max_context = 256,
           const std::string& folder = "models/qwen3_heads") {
  const PluginVariable plugin(CHIASM_EMULATED_PLUGIN);
  LoadOptions options;
  options.device = device;
  options.dtype = "float32";
  options.threads = 2;
  options.max_context = max_context;
  return Model::load(golden_root() / folder, options);
}

Request request(std::int32_t i, std::int64_t max_tokens = kTokens) {
  Request out;
  for (std::int32_t k = 0; k < 6 + 5 * i; k++) out.token_ids.push_back(40 + (7 * k + i) % 300);
  out.options.max_tokens = max_tokens;
  out.options.ignore_eos = true;
  out.options.temperature = 0.9;
  out.options.seed = std::uint64_t(i + 1);
  return out;
}

std::vector<std::int32_t> answer(Model& model, const Request& request) {
  return model.generate(request).token_ids;
}

/// Prompt and answer as the beginning of the next prompt, whose keys are still at hand.
Request continued(Request request, const std::vector<std::int32_t>& said) {
  request.token_ids.insert(request.token_ids.end(), said.begin(), said.end());
  request.token_ids.push_back(77);
  return request;
}

TEST(DeviceAhead, AllStepsButTheFirstAre) {
  Model cpu = load("cpu"), device = load("cuda");
  EXPECT_EQ(answer(device, request(0)), answer(cpu, request(0)));
  // The prompt gives the first token, and the first step of the device begins with it.
  EXPECT_EQ(device.stats().steps_ahead, kTokens - 2);
  EXPECT_EQ(cpu.stats().steps_ahead, 0);
}

TEST(DeviceAhead, AnswersOfManyLengthsEndWhereTheyShould) {
  Model cpu = load("cpu"), device = load("cuda");
  std::vector<Request> requests;
  for (std::int32_t i = 0; i < 5; i++) requests.push_back(request(i, 1 + 3 * i));
  std::size_t i = 0;
  for (const Result& result : device.generate_all(requests)) {
    EXPECT_EQ(result.token_ids, answer(cpu, requests[i])) << i;
    EXPECT_EQ(result.finish_reason, "length");
    i++;
  }
  EXPECT_GT(device.stats().steps_ahead, 0);
}

// An end token is drawn while the step behind it is on its way; what that one wrote is no part of
// what is remembered.
TEST(DeviceAhead, AnEndTokenAndWhatComesAfterIt) {
  Model cpu = load("cpu"), device = load("cuda");
  std::int64_t ended = 0;
  for (std::uint64_t seed = 0; seed < 200 && ended < 2; seed++) {
    Request asked = request(1, 60);
    asked.options.ignore_eos = false;
    asked.options.temperature = 3;
    asked.options.seed = seed;
    const Result want = cpu.generate(asked);
    if (want.finish_reason != "stop" || want.token_ids.size() < 3) continue;
    ended++;
    std::vector<Request> beside{asked, request(3, 20)};
    const std::vector<Result> got = device.generate_all(beside);
    EXPECT_EQ(got[0].token_ids, want.token_ids);
    EXPECT_EQ(got[0].text, want.text);
    EXPECT_EQ(got[0].finish_reason, "stop");
    EXPECT_EQ(got[1].token_ids, answer(cpu, beside[1]));
    const Request next = continued(asked, want.token_ids);
    const Result later = device.generate(next);
    EXPECT_EQ(later.usage.cached_tokens, std::int64_t(next.token_ids.size()) - 1);
    EXPECT_EQ(later.token_ids, answer(cpu, next));
  }
  EXPECT_EQ(ended, 2) << "answers that end by themselves";
}

TEST(DeviceAhead, AStopText) {
  Model cpu = load("cpu"), device = load("cuda");
  Request asked = request(2, 40);
  const Result whole = cpu.generate(asked);
  ASSERT_GE(whole.text.size(), 8);
  asked.options.stop = {whole.text.substr(whole.text.size() / 2, 3)};
  const Result want = cpu.generate(asked), got = device.generate(asked);
  EXPECT_EQ(got.text, want.text);
  EXPECT_EQ(got.token_ids, want.token_ids);
  EXPECT_EQ(got.finish_reason, "stop");
  const Request next = continued(asked, got.token_ids);
  EXPECT_EQ(answer(device, next), answer(cpu, next));
}

TEST(DeviceAhead, OneThatComesLaterAndOneThatIsCancelled) {
  Model cpu = load("cpu"), device = load("cuda");
  std::vector<std::int32_t> later;
  std::atomic<bool> answered = false;
  std::thread other;
  const Result first = device.generate(request(0, 200), [&](std::string_view) {
    if (!other.joinable()) {
      other = std::thread([&] {
        later = answer(device, request(3));
        answered = true;
      });
    }
    return !answered;
  });
  other.join();
  EXPECT_EQ(first.finish_reason, "cancelled") << "the later one waited for this one's end";
  EXPECT_EQ(later, answer(cpu, request(3)));
  const std::vector<std::int32_t> whole = answer(cpu, request(0, 200));
  ASSERT_LE(first.token_ids.size(), whole.size());
  EXPECT_TRUE(std::ranges::equal(first.token_ids, std::span(whole).first(first.token_ids.size())));
  const Request next = continued(request(0), first.token_ids);
  EXPECT_EQ(answer(device, next), answer(cpu, next));
}

TEST(DeviceAhead, AContextThatSlides) {
  constexpr std::int64_t kContext = 24;
  Model cpu = load("cpu", kContext), device = load("cuda", kContext);
  Request asked = request(0, 60);
  asked.options.slide = true;
  EXPECT_EQ(answer(device, asked), answer(cpu, asked));
  EXPECT_GT(device.stats().steps_ahead, 0);
}

// Past 64 tokens its rows are turned otherwise, those before them too.
TEST(DeviceAhead, AnAnswerThatBecomesALongOne) {
  Model cpu = load("cpu", 256, "models/phi3_longrope"),
        device = load("cuda", 256, "models/phi3_longrope");
  const Request asked = request(10, 20);
  ASSERT_LT(asked.token_ids.size(), 64);
  ASSERT_GT(asked.token_ids.size() + 20, 64);
  EXPECT_EQ(answer(device, asked), answer(cpu, asked));
  EXPECT_GT(device.stats().steps_ahead, 0);
}

TEST(DeviceAhead, AGuessWaitsForItsTokens) {
  Model cpu = load("cpu"), device = load("cuda");
  Request asked = request(1, 30);
  asked.options.lookup = 4;
  EXPECT_EQ(answer(device, asked), answer(cpu, asked));
  EXPECT_EQ(device.stats().steps_ahead, 0);
}

TEST(DeviceAhead, ADeviceThatIsLostFailsItsRequestAndNothingElse) {
  Model device = load("cuda:1");
  {
    const EmulatedFailure lost(CHIASM_EMULATED_PLUGIN, 1);
    int pieces = 0;
    const auto generate = [&] {
      device.generate(request(0, 60), [&](std::string_view) {
        if (++pieces == 3) lost.begin("it fell off the bus");
        return true;
      });
    };
    EXPECT_TRUE(throws<DeviceError>(generate, {"it fell off the bus"}));
  }
  Model cpu = load("cpu");
  EXPECT_EQ(answer(device, request(2)), answer(cpu, request(2)));
}

}  // namespace
}  // namespace chiasm::testing

#endif
