#include <gtest/gtest.h>

#include "core/error.h"
#include "language/decoder_config.h"
#include "tests/support/expect_error.h"

namespace chiasm::language {
namespace {

using namespace chiasm::testing;

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

using Axes = std::vector<std::uint8_t>;

TEST(RopeFrequencies, SectionsOfAxes) {
  const auto axes = [](std::string_view text, bool interleaved) {
    return rope_frequencies(Json::parse(text, "config.json"), 16,
                            {.sections = {{2, 3, 3}}, .interleaved = interleaved})
        .axis;
  };
  const char* const old_style =
      R"({"rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [4, 2, 2]}})";
  EXPECT_EQ(axes(old_style, false), (Axes{0, 0, 0, 0, 1, 1, 2, 2}));
  // As transformers' recomposition_frequencies: pairs 1, 4 are of the height, 2, 5 of the width.
  EXPECT_EQ(axes(old_style, true), (Axes{0, 1, 2, 0, 1, 2, 0, 0}));
  EXPECT_EQ(axes(R"({"rope_theta": 1e6})", false), (Axes{0, 0, 1, 1, 1, 2, 2, 2}));
  EXPECT_THROW(axes(R"({"rope_parameters": {"mrope_section": [4, 4, 4]}})", false), ModelError);
  EXPECT_THROW(axes(R"({"rope_parameters": {"mrope_section": [4, 4]}})", false), ModelError);
  EXPECT_TRUE(from(R"({"rope_theta": 1e6})").axis.empty());
}

TEST(RopeFrequencies, OfEachKindOfLayer) {
  const auto of = [](std::string_view text, std::string_view type, double theta) {
    return rope_frequencies(Json::parse(text, "config.json"), 16,
                            {.theta = theta, .layer_type = type})
        .inv_freq;
  };
  const char* const nested = R"({"rope_parameters": {
      "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
      "sliding_attention": {"rope_theta": 2e4, "rope_type": "default"}}})";
  const char* const flat =
      R"({"rope_theta": 1e6, "rope_scaling": {"rope_type": "linear", "factor": 8.0}})";
  EXPECT_EQ(of(nested, "full_attention", 1), of(flat, "full_attention", 1));
  EXPECT_EQ(of(nested, "sliding_attention", 1), of("{}", "sliding_attention", 2e4));
  EXPECT_EQ(of(flat, "sliding_attention", 2e4), of("{}", "sliding_attention", 2e4));
  EXPECT_NE(of(flat, "full_attention", 1), of("{}", "full_attention", 1e6));
}

// torch's float32 powers differ from the correctly rounded ones by a last place at times.
void expect_close(const std::vector<float>& got, const Json& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); i++)
    EXPECT_FLOAT_EQ(got[i], float(want[i].number())) << i;
}

TEST(RopeFrequencies, EveryTypeEqualsTransformers) {
  const Json cases =
      Json::load(std::filesystem::path(CHIASM_SOURCE_DIR) / "tests/golden/rope.json");
  ASSERT_GT(cases.size(), 10u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(i);
    const Json want = cases[i];
    nlohmann::json config = want["config"].raw();
    config["model_type"] = want["type"].str();
    const RopeFrequencies got = DecoderConfig::from_json(Json::parse(config.dump(), "config")).rope;
    expect_close(got.inv_freq, want["inv_freq"]);
    EXPECT_FLOAT_EQ(got.attention_scaling, float(want["attention_scaling"].number()));
    EXPECT_EQ(got.short_length, want.integer("short_length", 0));
    EXPECT_EQ(got.is_long(got.short_length), false);
    EXPECT_EQ(got.is_long(got.short_length + 1), want.has("long_inv_freq"));
    if (want.has("long_inv_freq")) expect_close(got.long_inv_freq, want["long_inv_freq"]);
  }
}

TEST(RopeFrequencies, RefusesWhatItCannotFollow) {
  const auto refused = [](std::string_view text, const char* word) {
    return throws<ModelError>([&] { from(text); }, {word});
  };
  EXPECT_TRUE(refused(R"({"rope_parameters": {"rope_type": "proportional"}})", "proportional"));
  EXPECT_TRUE(refused(R"({"rope_theta": -1.0})", "theta"));
  EXPECT_TRUE(refused(R"({"rope_scaling": {"type": "su", "short_factor": [1]}})", "\"su\""));
  EXPECT_TRUE(refused(R"({"rope_scaling": {"type": "longrope", "short_factor": [1, 2],
                          "long_factor": [1, 2]}})",
                      "2 factors for 8 pairs"));
  EXPECT_TRUE(refused(R"({"rope_scaling": {"type": "longrope", "short_factor": [1,1,1,1,1,1,1,0],
                          "long_factor": [1]}})",
                      "short_factor"));
  EXPECT_TRUE(refused(R"({"rope_scaling": {"type": "yarn", "factor": 0.5}})", "factor"));
  EXPECT_TRUE(
      refused(R"({"rope_scaling": {"type": "yarn", "factor": 2, "beta_fast": -3}})", "ramp"));
  EXPECT_TRUE(refused(R"({"max_position_embeddings": 0, "rope_scaling": {"type": "yarn"}})",
                      "max_position_embeddings"));
  EXPECT_TRUE(throws<ModelError>(
      [&] {
        rope_frequencies(
            Json::parse(
                R"({"rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]}})",
                "config.json"),
            2, {.sections = {{1, 0, 0}}});
      },
      {"longrope"}));
}

}  // namespace
}  // namespace chiasm::language
