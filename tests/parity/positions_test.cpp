/// Rotary positions of prompts with pictures, and of answers behind them, against transformers.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/json.h"
#include "runtime/loader.h"
#include "runtime/prompt.h"
#include "tests/parity/golden_file.h"

namespace chiasm::testing {

namespace {

using Axes = std::vector<std::vector<std::int32_t>>;

class Positions : public ::testing::TestWithParam<std::string> {
 protected:
  Positions()
      : golden_(read_golden(golden_root() / "models" / GetParam())), loaded_(load(golden_.path)) {}

  static LoadedModel load(const std::filesystem::path& folder) {
    LoadOptions options;
    options.threads = 1;
    return load_model(folder, options);
  }
  Prompt prompt(const GoldenCase& c) const {
    return make_prompt(*loaded_.family, *loaded_.tokenizer, c.request(),
                       loaded_.engine_options.limits);
  }
  /// What the golden file has for case `i`, axis by axis; empty: nothing.
  Axes wanted(std::size_t i) const {
    const Json c = Json::load(golden_.path / "golden.json")["cases"][i];
    if (!c.has("positions")) return {};
    return c["positions"].raw().get<Axes>();
  }
  static Axes axes(const Prompt& p) {
    Axes out;
    const auto begin = p.arrangement.positions.begin();
    const auto rows = std::int64_t(p.ids.size());
    for (std::int64_t axis = 0; axis < p.arrangement.axes; axis++) {
      out.emplace_back(begin + axis * rows, begin + (axis + 1) * rows);
    }
    return out;
  }

  const GoldenFolder golden_;
  const LoadedModel loaded_;
};

TEST_P(Positions, AreTheReferences) {
  int compared = 0;
  for (std::size_t i = 0; i < golden_.cases.size(); i++) {
    const Prompt p = prompt(golden_.cases[i]);
    if (p.media.empty()) {
      EXPECT_TRUE(p.arrangement.positions.empty());  // each row's place, on every axis
      continue;
    }
    EXPECT_EQ(axes(p), wanted(i)) << golden_.cases[i].name;
    compared++;
  }
  EXPECT_GE(compared, 3);
}

TEST_P(Positions, OfWordsBehindAPromptGoOnFromTheLargest) {
  Prompt p = prompt(golden_.cases[1]);  // two pictures
  Axes want = wanted(1);
  const std::int32_t next = want[0].back() + 1;  // it ends in words
  const std::vector<std::int32_t> words{7, 8};
  p.append(words);
  for (auto& axis : want) {
    for (std::int32_t at = next; at < next + 2; at++) axis.push_back(at);
  }
  EXPECT_EQ(axes(p), want);
  EXPECT_EQ(p.arrangement.next, next + 2);
  EXPECT_EQ(p.keys.size(), p.ids.size());
}

INSTANTIATE_TEST_SUITE_P(QwenVl, Positions,
                         ::testing::Values("qwen2_vl_merge", "qwen2_5_vl_windows",
                                           "qwen3_vl_deepstack"),
                         [](const auto& test) { return test.param; });

}  // namespace

}  // namespace chiasm::testing
