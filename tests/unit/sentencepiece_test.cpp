/// The ways in which published folders surround SentencePiece's models, against the `tokenizers`
/// library: tests/reference/make_sentencepiece_golden.py.
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>

#include "language/detokenizer.h"
#include "tests/unit/tokenizer_golden.h"

namespace chiasm::language {
namespace {

using Ids = std::vector<std::int32_t>;

Tokenizer make_variant(const nlohmann::json& variant) {
  const std::string base = variant["base"];
  nlohmann::json json = Json::load(test::tokenizer_golden(base + ".json")).raw();
  for (const auto& [key, value] : variant["patch"].items()) {
    if (key == "model") {
      json["model"].merge_patch(value);
    } else if (key != "bytes") {
      json[key] = value;
    }
  }
  for (unsigned b = 0; variant["patch"].contains("bytes") && b < 256; b++) {
    char token[8];
    std::snprintf(token, sizeof token, "<0x%02X>", b);
    json["model"]["vocab"].push_back({token, 0.0});
  }
  return Tokenizer::from_json(Json::parse(json.dump(), "tokenizer.json"));
}

TEST(SentencePiece, EveryVariantIsTheLibrarys) {
  const auto golden = Json::load(test::tokenizer_golden("sentencepiece.json")).raw();
  const std::size_t block = golden["block"], from = golden["from"];
  ASSERT_GT(golden["variants"].size(), 8u);
  for (const auto& variant : golden["variants"]) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    const Tokenizer tokenizer = make_variant(variant);
    EXPECT_EQ(test::differing(variant["ids"], golden["texts"], block,
                              [&](std::size_t i) {
                                Ids ids = tokenizer.encode(test::golden_text(from + i));
                                ids.push_back(-1);
                                return std::string(reinterpret_cast<const char*>(ids.data()),
                                                   ids.size() * sizeof(std::int32_t));
                              }),
              "")
        << "texts from these on";
    const std::size_t size = variant["vocab"];
    EXPECT_EQ(test::differing(variant["decoded"], golden["sequences"], block,
                              [&](std::size_t i) {
                                test::Random rand(i);
                                Ids ids(1 + rand(24));
                                for (auto& id : ids) {
                                  id = std::int32_t(rand(2) != 0 ? rand(size + 3) : rand(300));
                                }
                                return tokenizer.decode(ids, i % 2 == 1) + '\0';
                              }),
              "")
        << "sequences from these on";
  }
}

TEST(SentencePiece, TokensOneByOneGiveTheWholeText) {
  const auto golden = Json::load(test::tokenizer_golden("sentencepiece.json")).raw();
  for (const auto& variant : golden["variants"]) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    const Tokenizer tokenizer = make_variant(variant);
    for (std::size_t i = 0; i < 100; i++) {
      const Ids ids = tokenizer.encode(test::golden_text(i), false);
      Detokenizer stream(tokenizer, true);
      std::string text;
      for (const std::int32_t id : ids) text += stream.push(id);
      text += stream.flush();
      EXPECT_EQ(text, tokenizer.decode(ids, true)) << "text " << i;
    }
  }
}

}  // namespace
}  // namespace chiasm::language
