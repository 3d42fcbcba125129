// Folders that hold a SentencePiece model alone, against `sentencepiece` and transformers:
// tests/reference/make_spiece_golden.py.
#include <gtest/gtest.h>

#include "core/error.h"
#include "language/sentencepiece_tokenizer.h"
#include "language/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/tokenizer_golden.h"

namespace chiasm::language {
namespace {

using chiasm::testing::TempFolder;
using chiasm::testing::throws;

std::string read(const std::string& name) {
  return read_file(test::tokenizer_golden("spiece/" + name), std::size_t(1) << 20);
}

TEST(Spiece, CutsTextsAsTheReferences) {
  const auto golden = Json::load(test::tokenizer_golden("spiece/spiece.json")).raw();
  ASSERT_EQ(golden["variants"].size(), 7u);
  for (const auto& variant : golden["variants"]) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    const TempFolder folder;
    folder.write(variant["file"], read(variant["model"]));
    folder.write("tokenizer_config.json", variant["config"].dump());
    const Tokenizer tokenizer = Tokenizer::load(folder.path());
    const bool trusted = variant["trusted"];
    const std::size_t from = golden["from"];
    EXPECT_EQ(test::differing(variant["ids"], golden["texts"], golden["block"],
                              [&](std::size_t i) {
                                auto ids =
                                    tokenizer.encode(test::golden_text(from + i), trusted, trusted);
                                ids.push_back(-1);
                                return std::string(reinterpret_cast<const char*>(ids.data()),
                                                   ids.size() * sizeof(std::int32_t));
                              }),
              "")
        << "texts from these on";
  }
}

TEST(Spiece, TokensGoBackToTheirText) {
  const TempFolder folder;
  folder.write("tokenizer.model", read("bpe.model"));
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  const std::string text = " two  spaces, caf\u00e9 and \U0001F600\nlines";
  const auto ids = tokenizer.encode(text);
  EXPECT_EQ(ids.front(), 1);  // <s>: models of BPE begin with it
  EXPECT_EQ(tokenizer.decode(ids, true), text);
}

// A user's words are never structure, byte pieces among it.
TEST(Spiece, TextOfSpecialPiecesIsText) {
  const TempFolder folder;
  folder.write("spiece.model", read("unigram_bytes.model"));
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  const auto trusted = tokenizer.encode("a</s>", false, true);
  EXPECT_EQ(trusted.back(), 2);
  const auto words = tokenizer.encode("a</s>", false, false);
  EXPECT_EQ(std::ranges::count(words, 2), 0);
  EXPECT_EQ(tokenizer.decode(words, true), "a</s>");
}

// --- files that are no models

/// Bytes of a message's fields.
std::string varint(std::uint64_t v) {
  std::string out;
  for (; v >= 0x80; v >>= 7) out += char(v | 0x80);
  return out + char(v);
}
std::string field(std::uint64_t number, std::uint64_t value) {
  return varint(number << 3) + varint(value);
}
std::string field(std::uint64_t number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string score(float value) {
  std::string out = varint(2 << 3 | 5);
  out.append(reinterpret_cast<const char*>(&value), 4);
  return out;
}
std::string piece(const std::string& text, std::uint64_t kind = 1) {
  return field(1, field(1, text) + score(-1) + field(3, kind));
}
std::string small(const std::string& more = "") {
  return piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3) + piece("a") +
         field(2, field(3, 2) + more);
}

SentencePieceModel parse(const std::string& bytes) {
  return parse_sentencepiece(std::as_bytes(std::span(bytes)), "x.model");
}

::testing::AssertionResult refused(const std::string& bytes,
                                   std::initializer_list<std::string_view> words) {
  return throws<FormatError>([&] { parse(bytes); }, words);
}

TEST(Spiece, RefusesBytesThatAreNoModel) {
  EXPECT_EQ(parse(small()).pieces.size(), 4u);
  EXPECT_TRUE(refused("", {"x.model", "no pieces"}));
  EXPECT_TRUE(refused("{\"model\": 1}", {"x.model", "at offset"}));
  EXPECT_TRUE(refused(small() + std::string("\x0b"), {"wire type 3"}));
  EXPECT_TRUE(refused(small() + std::string("\x02\x00", 2), {"field number 0"}));
  EXPECT_TRUE(refused(small() + std::string(11, '\xff'), {"more than 10 bytes"}));
  EXPECT_TRUE(refused(varint(1 << 3 | 2) + varint(~0ull), {"runs past the end"}));
  EXPECT_TRUE(refused(field(1, 7), {"field 1 has wire type 0"}));
  EXPECT_TRUE(refused(field(1, field(1, 7)), {"field 1 has wire type 0", "offset 2"}));
  EXPECT_TRUE(refused(field(1, field(2, "abcd")), {"field 2 has wire type 2"}));
  EXPECT_TRUE(refused(piece("a", 9), {"a piece of kind 9"}));
  EXPECT_TRUE(refused(small(field(3, 5)), {"a model of kind 5"}));
  EXPECT_TRUE(refused(small(field(40, 4)), {"id 4", "outside the 4 pieces"}));
  EXPECT_TRUE(refused(small(field(41, std::uint64_t(-2))), {"id -2"}));
  EXPECT_EQ(parse(small(field(42, std::uint64_t(-1)))).end_id, -1);
  EXPECT_TRUE(refused(field(1, field(1, "a") + score(std::nanf(""))), {"not finite"}));
}

TEST(Spiece, EveryTruncationIsRefusedOrIsAModel) {
  const std::string whole = read("bpe.model").substr(0, 2000) + small();
  for (std::size_t size = 0; size < whole.size(); size++) {
    try {
      parse(whole.substr(0, size));
    } catch (const FormatError&) {  // the expected end of most
    }
  }
}

TEST(Spiece, RefusesModelsThatItCannotFollow) {
  const auto made = [](const std::string& bytes, const std::string& config = "{}") {
    sentencepiece_tokenizer_json(parse(bytes), Json::parse(config, "config"), "x.model");
  };
  EXPECT_NO_THROW(made(small()));
  const auto fails = [&](const std::string& bytes, const std::string& config,
                         std::initializer_list<std::string_view> words) {
    return throws<ModelError>([&] { made(bytes, config); }, words);
  };
  EXPECT_TRUE(fails(small(field(3, 4)), "{}", {"x.model", "characters"}));
  EXPECT_TRUE(fails(small(field(24, 1)), "{}", {"x.model", "behind words"}));
  EXPECT_TRUE(fails(small() + piece("a"), "{}", {"x.model", "piece 4 occurs twice"}));
  EXPECT_TRUE(fails(small() + piece("\xff"), "{}", {"x.model", "UTF-8"}));
  EXPECT_TRUE(throws<ModelError>(
      [&] {
        Tokenizer::from_json(sentencepiece_tokenizer_json(
            parse(small() + field(3, field(2, "abc"))), Json::parse("{}", "config"), "x.model"));
      },
      {"x.model", "precompiled"}));
  EXPECT_TRUE(
      fails(small(), R"({"tokenizer_class": "SiglipTokenizer"})", {"Siglip", "tokenizer.json"}));
  EXPECT_TRUE(fails(piece("a") + field(2, field(41, 0) + field(42, 0)),
                    R"({"tokenizer_class": "XLMRobertaTokenizer"})", {"fewer pieces"}));
  for (const char* id : {"5", "3", "-1", "x", "99999999999"}) {
    const std::string config =
        R"({"added_tokens_decoder": {")" + std::string(id) + R"(": {"content": "<image>"}}})";
    EXPECT_TRUE(fails(small(), config, {"config"})) << id;
  }
}

}  // namespace
}  // namespace chiasm::language
