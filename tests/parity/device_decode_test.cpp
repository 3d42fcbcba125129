// Steps of a device that choose their tokens by themselves: beside the CPU's, alone and together.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/support/plugin_variable.h"

#ifdef CHIASM_EMULATED_PLUGIN

namespace chiasm::testing {
namespace {

Model load(const std::string& device, bool batch_invariant = false) {
  const PluginVariable plugin(CHIASM_EMULATED_PLUGIN);
  LoadOptions options;
  options.device = device;
  options.dtype = "float32";
  options.threads = 2;
  options.batch_invariant = batch_invariant;
  return Model::load(golden_root() / "models/qwen3_heads", options);
}

/// Greedy, drawn, and with a penalty, which brings logits to the host.
std::vector<Request> requests() {
  const auto cases = read_golden(golden_root() / "models/qwen3_heads").cases;
  std::vector<Request> out;
  for (const double penalty : {1.0, 1.0, 1.3}) {
    Request request = cases[out.size() % cases.size()].request();
    request.options.max_tokens = 12;
    request.options.ignore_eos = true;
    request.options.repetition_penalty = penalty;
    if (out.size() == 1) {
      request.options.temperature = 0.9;
      request.options.seed = 7;
    }
    out.push_back(request);
  }
  return out;
}

std::vector<std::vector<std::int32_t>> tokens(Model& model, bool together) {
  std::vector<std::vector<std::int32_t>> out;
  if (together) {
    for (const Result& result : model.generate_all(requests())) out.push_back(result.token_ids);
  } else {
    for (const Request& request : requests()) out.push_back(model.generate(request).token_ids);
  }
  return out;
}

TEST(DeviceDecode, ChoosesTheCpusTokensAloneAndTogether) {
  Model cpu = load("cpu"), device = load("cuda");
  const auto want = tokens(cpu, false);
  EXPECT_EQ(tokens(device, false), want);
  EXPECT_EQ(tokens(device, true), want);
}

// Alone a prompt's rows are many, or some, or few; beside others their number is another.
TEST(DeviceDecode, BatchInvarianceIsBitForBit) {
  Model device = load("cuda", true);
  std::vector<Request> together = requests();
  for (Request& request : together) request.options.logprobs = 3;
  std::vector<std::vector<double>> alone;
  const auto numbers = [](const Result& result) {
    std::vector<double> out;
    for (const TokenLogprob& t : result.logprobs) {
      for (const auto& [id, logprob] : t.top) out.push_back(logprob);
    }
    return out;
  };
  for (const Request& request : together) alone.push_back(numbers(device.generate(request)));
  std::size_t i = 0;
  for (const Result& result : device.generate_all(together)) {
    EXPECT_EQ(numbers(result), alone[i]) << i;
    i++;
  }
}

}  // namespace
}  // namespace chiasm::testing

#endif
