// Whole models on a device whose attention a library serves: the emulated one's double, within the
// bounds of our own kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/stage_errors.h"
#include "tests/support/expect_error.h"
#include "tests/support/l2_error.h"
#include "tests/support/plugin_variable.h"

#ifdef CHIASM_EMULATED_PLUGIN

namespace chiasm::testing {
namespace {

Model load(const std::string& folder, const std::string& provider, bool batch_invariant = false) {
  const PluginVariable plugin(CHIASM_EMULATED_PLUGIN);
  LoadOptions options;
  options.device = "cuda";
  options.dtype = "bfloat16";
  options.threads = 2;
  options.attention_provider = provider;
  options.batch_invariant = batch_invariant;
  return Model::load(golden_root() / "models" / folder, options);
}

class DeviceLibrary : public ::testing::TestWithParam<std::string> {};

// A picture's rows alike and packed, prompts in pages of the cache, all or the last few of them
// visible. That the library served shows in other bits.
TEST_P(DeviceLibrary, StagesAreTheGoldens) {
  const GoldenFolder golden = read_golden(golden_root() / "models" / GetParam());
  const auto shows = [](const GoldenCase& c) { return !c.images.empty(); };
  const bool pictures = std::ranges::any_of(golden.cases, shows);
  // The shortest with a picture, or the longest of words, which is longer than the window.
  const GoldenCase* chosen = nullptr;
  for (const GoldenCase& c : golden.cases) {
    if (shows(c) != pictures) continue;
    if (chosen == nullptr || (c.ids.size() < chosen->ids.size()) == pictures) chosen = &c;
  }
  ASSERT_NE(chosen, nullptr);
  Model library = load(GetParam(), "cudnn");
  EXPECT_EQ(first_divergence(stage_errors(library, *chosen), 1e-2), "");
  const Tensor own = load(GetParam(), "own").logits(chosen->request());
  EXPECT_GT(l2_error(library.logits(chosen->request()), own), 0);
}

INSTANTIATE_TEST_SUITE_P(Bfloat16, DeviceLibrary,
                         ::testing::Values("qwen2_vl_merge", "qwen3_vl_deepstack",
                                           "mistral_window"));

TEST(DeviceLibraryOption, IsRefusedWhereItCannotBe) {
  EXPECT_TRUE(throws<RequestError>([] { load("qwen3_heads", "cudnn", true); },
                                   {"batch_invariant", "leave one of the two out"}));
  EXPECT_TRUE(throws<RequestError>([] { load("qwen3_heads", "abacus"); }, {"use own or cudnn"}));
}

}  // namespace
}  // namespace chiasm::testing

#endif
