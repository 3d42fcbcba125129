#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/support/expect_error.h"
#include "vision/qwen_vision.h"

namespace chiasm::vision {

namespace {

using testing::throws;

QwenVisionConfig read(const std::string& text, std::string_view family) {
  return QwenVisionConfig::from_json(Json::parse(text, "config.json"), family);
}

TEST(QwenVisionConfig, MissingKeysAreTheReferencesDefaults) {
  const auto second = read("{}", "qwen2_vl");
  EXPECT_EQ(second.blocks.hidden_size, 1280);
  EXPECT_EQ(second.blocks.intermediate_size, 4 * 1280);
  EXPECT_EQ(second.blocks.activation, kernels::Activation::quick_gelu);
  EXPECT_EQ(second.window, 0);
  const auto windows = read(R"({"hidden_size": 1280})", "qwen2_5_vl");
  EXPECT_EQ(windows.window, 4);  // 112 pixels
  EXPECT_EQ(windows.full_layers, (std::vector<std::int64_t>{7, 15, 23, 31}));
  EXPECT_TRUE(windows.blocks.gated);
  const auto third = read("{}", "qwen3_vl");
  EXPECT_EQ(third.position_side, 48);
  EXPECT_EQ(third.deep_layers, (std::vector<std::int64_t>{8, 16, 24}));
  EXPECT_EQ(third.patch.size, 16);
}

TEST(QwenVisionConfig, ImpossibleOnesAreErrorsThatNameTheKey) {
  const auto reading = [](const char* text, std::string_view family) {
    return [=] { (void)read(text, family); };
  };
  EXPECT_TRUE(throws<ModelError>(reading(R"({"num_heads": 7})", "qwen2_vl"), {"7", "heads"}));
  EXPECT_TRUE(throws<ModelError>(reading(R"({"patch_size": 0})", "qwen3_vl"), {"0 pixels"}));
  EXPECT_TRUE(throws<ModelError>(reading(R"({"in_channels": 1})", "qwen3_vl"), {"not an encoder"}));
  EXPECT_TRUE(throws<ModelError>(reading(R"({"window_size": 20})", "qwen2_5_vl"), {"window_size"}));
  EXPECT_TRUE(throws<ModelError>(reading(R"({"fullatt_block_indexes": [32]})", "qwen2_5_vl"),
                                 {"fullatt_block_indexes", "32"}));
  EXPECT_TRUE(throws<ModelError>(reading(R"({"deepstack_visual_indexes": [-1]})", "qwen3_vl"),
                                 {"deepstack_visual_indexes", "-1"}));
  EXPECT_TRUE(throws<ModelError>(reading(R"({"num_position_embeddings": 26})", "qwen3_vl"),
                                 {"num_position_embeddings", "26"}));
}

}  // namespace

}  // namespace chiasm::vision
