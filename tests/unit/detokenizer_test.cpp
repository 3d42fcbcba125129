/// Text from a stream of tokens.
#include "language/detokenizer.h"

#include <gtest/gtest.h>

#include "tests/unit/tokenizer_golden.h"

namespace chiasm::language {
namespace {

bool is_utf8(std::string_view text) { return first_invalid_utf8(text) == std::string_view::npos; }

class DetokenizerStream : public testing::TestWithParam<const char*> {
 protected:
  DetokenizerStream() : tokenizer_(test::golden_tokenizer(GetParam())) {}
  Tokenizer tokenizer_;
};

TEST_P(DetokenizerStream, PiecesAreTheWholeText) {
  for (const bool skip : {false, true}) {
    Detokenizer stream(tokenizer_, skip);
    for (std::size_t i = 0; i < 2000; ++i) {
      const auto ids = tokenizer_.encode(test::golden_text(i));
      std::string text;
      for (const auto id : ids) {
        const std::string piece = stream.push(id);
        EXPECT_TRUE(is_utf8(piece));
        text += piece;
      }
      text += stream.flush();
      EXPECT_EQ(text, tokenizer_.decode(ids, skip)) << "text " << i;
    }
  }
}

TEST_P(DetokenizerStream, AnyIdsGiveValidPieces) {
  Detokenizer stream(tokenizer_, false);
  for (std::size_t i = 0; i < 2000; ++i) {
    test::Random rand(i);
    std::vector<std::int32_t> ids(1 + rand(24));
    std::string text;
    for (auto& id : ids) {
      id = std::int32_t(rand(2) != 0 ? rand(std::uint64_t(tokenizer_.vocab_size())) : rand(300));
      const std::string piece = stream.push(id);
      EXPECT_TRUE(is_utf8(piece)) << "sequence " << i;
      text += piece;
    }
    text += stream.flush();
    EXPECT_TRUE(is_utf8(text)) << "sequence " << i;
    EXPECT_EQ(text, tokenizer_.decode(ids, false)) << "sequence " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, DetokenizerStream,
                         testing::Values("smollm2", "llama3", "qwen2", "sentence"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Detokenizer, WaitsForWholeCharacters) {
  const auto tokenizer = test::golden_tokenizer("qwen2");
  std::vector<std::int32_t> ids;  // the bytes E2 98 83 as the byte-level alphabet writes them
  for (const char* byte : {"\u00E2", "\u013A", "\u0125"})
    ids.push_back(tokenizer.find(byte).value());
  Detokenizer stream(tokenizer, false);
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(ids[1]), "");
  EXPECT_EQ(stream.push(ids[2]), "\u2603");
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
  EXPECT_EQ(stream.flush(), "");
}

}  // namespace
}  // namespace chiasm::language
