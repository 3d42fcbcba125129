// Whole models on a device against the goldens: the device's path through the runtime and its
// kernels. The emulated device, unless CHIASM_DEVICE_PLUGIN names a card's plug-in.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <tuple>

#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/stage_errors.h"
#include "tests/support/expect_error.h"
#include "tests/support/l2_error.h"
#include "tests/support/plugin_variable.h"

#ifdef CHIASM_EMULATED_PLUGIN

namespace chiasm::testing {
namespace {

Model load(const std::filesystem::path& path, LoadOptions options) {
  const char* const card = std::getenv("CHIASM_DEVICE_PLUGIN");  // bench/gpu_run.sh
  const PluginVariable plugin(card != nullptr ? card : CHIASM_EMULATED_PLUGIN);
  options.threads = 2;
  return Model::load(golden_root() / path, options);
}

Model load(const std::string& folder, const std::string& device, const std::string& dtype,
           const std::string& kv_cache = "auto") {
  LoadOptions options;
  options.device = device;
  options.dtype = dtype;
  options.kv_cache = kv_cache;
  return load(std::filesystem::path("models") / folder, options);
}

class DeviceParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};
class DeviceGreedy : public DeviceParity {};
class DeviceFamily : public DeviceParity {};

// The bounds of the CPU (model_parity_test.cpp): float32 adds in another order; under bfloat16,
// keys, values, activations and softmax weights carry 8 bits.
TEST_P(DeviceParity, StagesAreTheGoldens) {
  const auto& [folder, dtype] = GetParam();
  Model model = load(folder, "cuda", dtype);
  EXPECT_NE(model.info().device, "cpu");
  const GoldenFolder golden = read_golden(golden_root() / "models" / folder);
  const double bound = dtype == "float32" ? 1e-4 : 1e-2;
  for (const GoldenCase& c : golden.cases) {
    const auto errors = stage_errors(model, c);
    EXPECT_EQ(first_divergence(errors, bound), "") << "prompt " << c.name;
  }
}

// The shortest prompt with a picture or a sound: what a family does besides its decoder.
TEST_P(DeviceFamily, MediaAreTheGoldens) {
  const auto& [folder, dtype] = GetParam();
  Model model = load(folder, "cuda", dtype);
  EXPECT_NE(model.info().device, "cpu");
  const GoldenFolder golden = read_golden(golden_root() / "models" / folder);
  const GoldenCase* shortest = nullptr;
  for (const GoldenCase& c : golden.cases) {
    const bool shows = !c.images.empty() || !c.sounds.empty();
    if (shows && (shortest == nullptr || c.ids.size() < shortest->ids.size())) shortest = &c;
  }
  ASSERT_NE(shortest, nullptr);
  const double bound = dtype == "float32" ? 1e-4 : 1e-2;
  EXPECT_EQ(first_divergence(stage_errors(model, *shortest), bound), "");
}

TEST_P(DeviceGreedy, TokensAreTheGoldens) {
  const auto& [folder, dtype] = GetParam();
  Model model = load(folder, "cuda", dtype);
  const GoldenFolder golden = read_golden(golden_root() / "models" / folder);
  const GoldenCase& c = golden.cases.front();
  Request request = c.request();
  constexpr std::size_t kTokens = 8;
  request.options.max_tokens = kTokens;
  request.options.ignore_eos = true;
  ASSERT_GE(c.greedy.size(), kTokens);
  EXPECT_EQ(model.generate(request).token_ids,
            std::vector<std::int32_t>(c.greedy.begin(), c.greedy.begin() + kTokens));
}

std::string title(const ::testing::TestParamInfo<std::tuple<std::string, std::string>>& test) {
  return std::get<0>(test.param) + "_" + std::get<1>(test.param);
}

// Heads shared and soft-capped, windows, norms of heads, pictures; of every family that shows
// pictures, one. More takes minutes.
INSTANTIATE_TEST_SUITE_P(Float32, DeviceParity,
                         ::testing::Combine(::testing::Values("llama_gqa", "gemma2_caps",
                                                              "mistral_window", "smolvlm_2x2"),
                                            ::testing::Values("float32")),
                         title);
INSTANTIATE_TEST_SUITE_P(
    Pictures, DeviceFamily,
    ::testing::Combine(::testing::Values("llava_clip", "llava_onevision_anyres", "internvl_qk_norm",
                                         "paligemma_2", "gemma3_pan", "mistral3_rows",
                                         "qwen2_vl_merge", "qwen2_5_vl_windows",
                                         "qwen3_vl_deepstack"),
                       ::testing::Values("float32")),
    title);
// In bfloat16 alone: attention of 1,500 rows of a sound to each other takes the emulated device a
// minute in float32. Voxtral's windows pass too, in half a minute.
INSTANTIATE_TEST_SUITE_P(Sounds, DeviceFamily,
                         ::testing::Combine(::testing::Values("qwen2_audio_pooled", "ultravox_mid"),
                                            ::testing::Values("bfloat16")),
                         title);
INSTANTIATE_TEST_SUITE_P(Bfloat16, DeviceParity,
                         ::testing::Combine(::testing::Values("mistral_window", "qwen3_heads",
                                                              "smolvlm_2x2"),
                                            ::testing::Values("bfloat16")),
                         title);
INSTANTIATE_TEST_SUITE_P(Float32, DeviceGreedy,
                         ::testing::Combine(::testing::Values("qwen3_heads", "smolvlm_2x2"),
                                            ::testing::Values("float32")),
                         title);

// Beside the same weights on the CPU, which rounds activations to 8 bits: the encoder's 8-bit rows,
// groups of 8 and 4 bits.
TEST(DeviceQuantizedModels, LogitsAreNearTheCpus) {
  for (const auto& [folder, quantize] :
       {std::pair("smolvlm_2x2", "int8"), std::pair("qwen3_heads", "int4")}) {
    LoadOptions options;
    options.dtype = "float32";
    options.quantize = quantize;
    const auto path = std::filesystem::path("models") / folder;
    const Request request = read_golden(golden_root() / path).cases.front().request();
    options.device = "cpu";
    const Tensor want = load(path, options).logits(request);
    options.device = "cuda";
    EXPECT_LE(l2_error(load(path, options).logits(request), want), 3e-2) << folder;
  }
}

// The CPU widens these blocks to float32, so what differs are products of many rows in bfloat16.
TEST(DeviceQuantizedModels, BlocksOfFilesAreTheCpus) {
  LoadOptions options;
  options.mmproj = "none";
  for (const char* file : {"gguf/phi3.gguf", "gguf/smollm3.gguf", "gguf/gpt2.gguf"}) {
    const Request request = Request::text("How many pictures?", {});
    options.device = "cpu";
    const Tensor want = load(file, options).logits(request);
    options.device = "cuda";
    EXPECT_LE(l2_error(load(file, options).logits(request), want), 1e-2) << file;
  }
}

TEST(DeviceChoice, ModelsThatDoNotRunThereStayOnTheCpu) {
  EXPECT_EQ(load("lfm2_mixed", "auto", "float32").info().device, "cpu");
  EXPECT_EQ(load("lfm2_vl_hybrid", "auto", "float32").info().device, "cpu");
  EXPECT_TRUE(throws<DeviceError>([] { load("lfm2_mixed", "cuda", "float32"); },
                                  {"short convolutions", "cpu"}));
  EXPECT_TRUE(
      throws<DeviceError>([] { load("lfm2_vl_hybrid", "cuda", "float32"); }, {"family", "cpu"}));
  EXPECT_EQ(load("llama_gqa", "auto", "float32", "int8").info().device, "cpu");
  EXPECT_TRUE(throws<DeviceError>([] { load("llama_gqa", "cuda", "float32", "int8"); },
                                  {"KV cache of int8", "cpu"}));
}

}  // namespace
}  // namespace chiasm::testing

#endif
