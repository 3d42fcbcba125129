/// Mistral's tekken.json against mistral-common (tests/reference/make_tekken_golden.py).
#include "language/tekken.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/tokenizer_golden.h"

namespace chiasm::language {
namespace {

using testing::throws;

TEST(Tekken, EncodesAsMistralCommon) {
  const auto tokenizer = tokenizer_from_tekken(Json::load(test::tokenizer_golden("tekken.json")));
  const Json cases = Json::load(test::tokenizer_golden("tekken_cases.json"));
  for (std::size_t i = 0; i < cases.size(); i++) {
    const std::string text = cases[i]["text"].str();
    std::vector<std::int32_t> want;
    for (const std::int64_t id : cases[i]["ids"].integers()) want.push_back(std::int32_t(id));
    const std::vector<TextSpan> words{{text, false}};
    EXPECT_EQ(tokenizer.encode_spans(words, true), want) << text;
    EXPECT_EQ(tokenizer.decode(want, true), text);
  }
}

TEST(Tekken, SpecialTokensComeFirst) {
  const auto tokenizer = tokenizer_from_tekken(Json::load(test::tokenizer_golden("tekken.json")));
  EXPECT_EQ(tokenizer.encode("[INST][BEGIN_AUDIO][AUDIO]", true),
            (std::vector<std::int32_t>{1, 3, 6, 5}));
  EXPECT_EQ(tokenizer.token_text(9), "<SPECIAL_9>");
  EXPECT_EQ(tokenizer.bos_token(), 1);
}

TEST(Tekken, TablesThatDoNotFitAreNamed) {
  const Json good = Json::load(test::tokenizer_golden("tekken.json"));
  const auto with = [&](const char* part, auto change) {
    nlohmann::json file = good.raw();
    change(file[part]);
    return [text = file.dump()] { tokenizer_from_tekken(Json::parse(text, "tekken.json")); };
  };
  EXPECT_TRUE(throws<ModelError>(with("vocab", [](auto& v) { v[300]["rank"] = 5; }), {"rank"}));
  EXPECT_TRUE(throws<ModelError>(with("vocab", [](auto& v) { v[300]["token_bytes"] = "%"; }),
                                 {"vocab[300]", "base64"}));
  EXPECT_TRUE(throws<ModelError>(with("config", [](auto& c) { c["default_vocab_size"] = 9999; }),
                                 {"vocab", "are wanted"}));
  EXPECT_TRUE(throws<ModelError>(with("special_tokens", [](auto& s) { s[2]["rank"] = 7; }),
                                 {"special_tokens[2]"}));
}

TEST(Tekken, AFolderMayHoldItInsteadOfATokenizerJson) {
  const testing::TempFolder folder;
  folder.write("tekken.json",
               read_file(test::tokenizer_golden("tekken.json"), std::size_t(1) << 20));
  EXPECT_EQ(Tokenizer::load(folder.path()).encode("[AUDIO]", false),
            (std::vector<std::int32_t>{5}));
}

}  // namespace
}  // namespace chiasm::language
