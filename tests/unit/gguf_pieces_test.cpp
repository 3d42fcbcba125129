// SentencePiece's vocabularies in GGUF files against sentencepiece.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/json.h"
#include "language/gguf_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_bytes.h"

namespace chiasm::language {
namespace {

using chiasm::testing::GgufBytes;
using chiasm::testing::throws;

Json golden() {
  return Json::load(std::string(CHIASM_SOURCE_DIR) + "/tests/golden/gguf/pieces.json");
}

struct Tables {
  explicit Tables(const Json& json) : prefix(json["prefix"].boolean()) {
    for (const auto& t : json["tokens"].raw()) tokens.push_back(t.get<std::string>());
    for (const auto& s : json["scores"].raw()) scores.push_back(s.get<float>());
    for (const auto& t : json["types"].raw()) types.push_back(t.get<std::int32_t>());
  }
  Tokenizer load() const {
    GgufBytes b;
    b.header(0, 7).value("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", tokens);
    b.numbers("tokenizer.ggml.scores", scores).integers("tokenizer.ggml.token_type", types);
    b.value("tokenizer.ggml.bos_token_id", 1u).value("tokenizer.ggml.eos_token_id", 2u);
    b.flag("tokenizer.ggml.add_space_prefix", prefix ? 1 : 0);
    return tokenizer_from_gguf(parse_gguf(std::as_bytes(std::span(b.bytes)), "x.gguf"));
  }
  bool prefix;
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
};

TEST(GgufPieces, CutAsSentencePiece) {
  const Json all = golden();
  for (std::size_t i = 0; i < all.size(); i++) {
    const Tokenizer tokenizer = Tables(all[i]).load();
    for (std::size_t t = 0; t < all[i]["texts"].size(); t++) {
      const Json one = all[i]["texts"][t];
      const std::string text = one["text"].str();
      std::vector<std::int32_t> want;
      for (const std::int64_t id : one["ids"].integers()) want.push_back(std::int32_t(id));
      if (text.empty()) continue;  // sentencepiece has no prefix for nothing
      const auto ids = tokenizer.encode(text, true, false);
      EXPECT_EQ(ids, want) << text;
      EXPECT_EQ(tokenizer.decode(ids, true), text);
    }
  }
}

TEST(GgufPieces, RefuseTablesThatDoNotFit) {
  const Json json = golden();
  Tables tables(json[std::size_t(0)]);
  tables.scores.pop_back();
  EXPECT_TRUE(throws<ModelError>([&] { tables.load(); }, {"tokenizer.ggml.scores", "499 scores"}));
  tables.scores.push_back(NAN);
  EXPECT_TRUE(throws<ModelError>([&] { tables.load(); }, {"tokenizer.ggml.scores", "finite"}));
}

}  // namespace
}  // namespace chiasm::language
