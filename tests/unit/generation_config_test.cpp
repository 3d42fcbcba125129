#include "runtime/generation_config.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/support/temp_folder.h"

namespace chiasm {
namespace {

Json config(std::string_view text) { return Json::parse(text, "config.json"); }

TEST(GenerationConfig, SeveralEndTokensAndSuppression) {
  const testing::TempFolder folder;
  folder.write(
      "generation_config.json",
      R"({"eos_token_id": [3, 5], "suppress_tokens": [7], "begin_suppress_tokens": null})");
  const auto out = GenerationConfig::load(folder.path(), config(R"({"eos_token_id": 1})"), 10);
  EXPECT_EQ(out.end_tokens, (std::vector<std::int32_t>{3, 5}));
  EXPECT_EQ(out.suppressed, (std::vector<std::int32_t>{7}));
  EXPECT_TRUE(out.suppressed_first.empty());
}

TEST(GenerationConfig, FallsBackToConfigAndItsTextPart) {
  const testing::TempFolder folder;
  EXPECT_EQ(GenerationConfig::load(folder.path(), config(R"({"eos_token_id": 1})"), 10).end_tokens,
            std::vector<std::int32_t>{1});
  EXPECT_EQ(
      GenerationConfig::load(folder.path(), config(R"({"text_config": {"eos_token_id": 4}})"), 10)
          .end_tokens,
      std::vector<std::int32_t>{4});
}

TEST(GenerationConfig, RefusesTokensOutsideTheVocabulary) {
  const testing::TempFolder folder;
  EXPECT_THROW(GenerationConfig::load(folder.path(), config(R"({"eos_token_id": 10})"), 10),
               FormatError);
}

}  // namespace
}  // namespace chiasm
