// What of a PEFT folder names a model's modules.
#include "runtime/lora.h"

#include <gtest/gtest.h>

#include "runtime/lora_config.h"
#include "tests/support/expect_error.h"

namespace chiasm {
namespace {

using chiasm::testing::throws;

TEST(LoraNames, LeaveOutWhatCameAndWentWithVersions) {
  EXPECT_EQ(plain_module_name("model.layers.0.self_attn.q_proj"), "layers.0.self_attn.q_proj");
  EXPECT_EQ(plain_module_name("language_model.model.layers.0.mlp.up_proj"), "layers.0.mlp.up_proj");
  EXPECT_EQ(plain_module_name("model.text_model.layers.1.x"), "layers.1.x");
  EXPECT_EQ(plain_module_name("model.vision_tower.vision_model.encoder.layers.0.mlp.fc1"),
            "vision_tower.encoder.layers.0.mlp.fc1");
  EXPECT_EQ(plain_module_name("model.vision_model.encoder.layers.0.mlp.fc1"),
            "vision_model.encoder.layers.0.mlp.fc1");
  EXPECT_EQ(plain_module_name(""), "");
  EXPECT_EQ(plain_module_name("..model."), "");
}

TEST(LoraPatterns, AreEndsOfPaths) {
  const std::string_view q = "model.layers.10.self_attn.q_proj";
  EXPECT_TRUE(pattern_means("q_proj", q));
  EXPECT_TRUE(pattern_means("self_attn.q_proj", q));
  EXPECT_TRUE(pattern_means(q, q));
  EXPECT_TRUE(pattern_means("^model\\.layers.10.self_attn\\.q_proj$", q));
  EXPECT_FALSE(pattern_means("^layers.10.self_attn.q_proj", q));
  EXPECT_FALSE(pattern_means("proj", q));
  EXPECT_FALSE(pattern_means("0.self_attn.q_proj", q));
  EXPECT_FALSE(pattern_means("the.model.layers.10.self_attn.q_proj", q));
  for (const std::string_view key :
       {"", "^", "$", ".*", "(a+)+", "q_proj|v_proj", "[qv]_proj", "\\d"}) {
    EXPECT_TRUE(throws<ModelError>([&] { pattern_means(key, q); }, {"regular expressions"})) << key;
  }
}

}  // namespace
}  // namespace chiasm
