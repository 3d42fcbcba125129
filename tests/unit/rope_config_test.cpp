#include <gtest/gtest.h>

#include "core/error.h"
#include "language/rope.h"

namespace chiasm::language {
namespace {

RopeFrequencies from(std::string_view text) {
  return rope_frequencies(Json::parse(text, "config.json"), 16);
}

// Values printed by transformers 5.23's LlamaRotaryEmbedding for head_dim 16.
TEST(RopeFrequencies, DefaultEqualsTransformers) {
  const auto rope = from(R"({"rope_theta": 10000.0})");
  const float want[] = {1.0f,  0.31622776f,   0.1f,   0.031622775f,
                        0.01f, 0.0031622776f, 0.001f, 0.00031622776f};
  ASSERT_EQ(rope.inv_freq.size(), 8u);
  for (int i = 0; i < 8; i++) EXPECT_FLOAT_EQ(rope.inv_freq[std::size_t(i)], want[i]) << i;
}

TEST(RopeFrequencies, OldAndNewConfigsMeanTheSame) {
  const auto old_style = from(
      R"({"rope_theta": 5e5, "max_position_embeddings": 64, "rope_scaling": {"type": "llama3",
          "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}})");
  const auto new_style = from(
      R"({"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0,
          "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}})");
  EXPECT_EQ(old_style.inv_freq, new_style.inv_freq);
  EXPECT_NE(old_style.inv_freq, from(R"({"rope_theta": 5e5})").inv_freq);
}

TEST(RopeFrequencies, RefusesTypesItDoesNotKnow) {
  try {
    from(R"({"rope_parameters": {"rope_theta": 10000.0, "rope_type": "yarn"}})");
    FAIL();
  } catch (const ModelError& e) {
    EXPECT_NE(std::string_view(e.what()).find("yarn"), std::string_view::npos) << e.what();
  }
  EXPECT_THROW(from(R"({"rope_theta": -1.0})"), ModelError);
}

}  // namespace
}  // namespace chiasm::language
