/// Files of tokenizers that are odd, hostile or not supported, and tokenizer_config.json.
#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"
#include "language/detokenizer.h"
#include "language/tokenizer.h"
#include "tests/support/temp_folder.h"

namespace chiasm::language {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

/// A small tokenizer.json: letters, one merge, one special token.
json small() {
  return json::parse(R"({
    "added_tokens": [{"id": 5, "content": "<s>", "special": true, "normalized": false}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<": 3, "s": 4}, "merges": ["a b"]}
  })");
}

Tokenizer load(const json& value) {
  return Tokenizer::from_json(Json::parse(value.dump(), "tokenizer.json"));
}

/// The message of the ModelError that loading `value` must throw.
std::string error_of(const json& value) {
  try {
    load(value);
  } catch (const ModelError& e) {
    return e.what();
  }
  ADD_FAILURE() << "accepted: " << value.dump();
  return "";
}

/// The error after the value at `path` (a JSON pointer) became `with`.
std::string error_with(const std::string& path, const json& with) {
  json value = small();
  value[json::json_pointer(path)] = with;
  return error_of(value);
}

void expect_names(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(TokenizerInput, SmallOneWorks) {
  const auto tokenizer = load(small());
  EXPECT_EQ(tokenizer.encode("ab<s>a"), (Ids{2, 5, 0}));
  EXPECT_EQ(tokenizer.encode("x"), Ids{});  // no unknown token: left out, as the library does
  EXPECT_EQ(tokenizer.vocab_size(), 6);
  EXPECT_EQ(tokenizer.decode(Ids{2, 5, 99, -1}, true), "ab");
}

TEST(TokenizerInput, NamesWhatIsNotSupported) {
  expect_names(error_with("/model/type", "WordLevel"), "WordLevel");
  expect_names(error_with("/model/dropout", 0.1), "dropout");
  expect_names(error_with("/model/continuing_subword_prefix", "##"), "continuing_subword_prefix");
  json ended = small();
  ended["model"]["end_of_word_suffix"] = "</w>";
  ended["model"]["byte_fallback"] = true;
  expect_names(error_of(ended), "end_of_word_suffix");
  expect_names(error_with("/normalizer", {{"type", "Nmt"}}), "Nmt");
  expect_names(error_with("/pre_tokenizer", {{"type", "CharDelimiterSplit"}}),
               "CharDelimiterSplit");
  expect_names(error_with("/post_processor", {{"type", "Other"}}), "Other");
  expect_names(error_with("/decoder", {{"type", "CTC"}}), "CTC");
  const json split = {
      {"type", "Split"}, {"pattern", {{"Regex", "(?<x>a)"}}}, {"behavior", "Isolated"}};
  expect_names(error_with("/pre_tokenizer", split), "(?<x>a)");
}

TEST(TokenizerInput, NamesWhatIsInconsistent) {
  expect_names(error_with("/model/merges", {"a x"}), "\"x\"");
  expect_names(error_with("/model/merges", {"a"}), "two tokens");
  expect_names(error_with("/model/merges", {{"a", "b", "c"}}), "two tokens");
  expect_names(error_with("/model/merges", {1}), "two tokens");
  expect_names(error_with("/model/merges", "a b"), "array");
  expect_names(error_with("/model/vocab", {{"a", 0}, {"b", 0}}), "both have id 0");
  expect_names(error_with("/model/vocab", {{"a", -1}}), "\"a\"");
  expect_names(error_with("/model/vocab", {{"a", 1e9}}), "\"a\"");
  expect_names(error_with("/model/vocab", {{"a", 2000000000}}), "\"a\"");
  expect_names(error_with("/model/vocab", {"a"}), "vocab");
  expect_names(error_with("/model/unk_token", "<unk>"), "unk_token");
  expect_names(error_with("/model/type", "Unigram"), "array of token and score");
  expect_names(error_with("/model/type", "WordPiece"), "unk_token");
  const auto unigram = [](const json& score, int unknown) {
    const json vocab = json::array({json::array({"a", score})});
    return error_with("/model", {{"type", "Unigram"}, {"vocab", vocab}, {"unk_id", unknown}});
  };
  expect_names(unigram("b", 0), "vocab[0]");
  expect_names(unigram(-1.5, 1), "unk_id 1");
  expect_names(error_with("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "?"}}),
               "base64");
  expect_names(
      error_with("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}}),
      "damaged");
  expect_names(error_with("/post_processor", {{"type", "BertProcessing"}}), "cls");
  expect_names(error_with("/added_tokens/0/id", 0), "\"a\"");
  expect_names(error_with("/added_tokens/0/content", "a"), "but 0");
  expect_names(error_with("/added_tokens/0/id", 1LL << 40), "expected 0 to");
  expect_names(error_with("/added_tokens/0/content", std::string(5000, 'x')), "5000 bytes");
  expect_names(error_with("/added_tokens/1", small()["added_tokens"][0]), "twice");
  json without = small();
  without.erase("model");
  expect_names(error_of(without), "model");
}

TEST(TokenizerInput, AnEmptyTokenIsAnIdWithoutText) {  // Whisper's vocabulary has one
  json value = small();
  value["model"]["vocab"][""] = 6;
  const auto tokenizer = load(value);
  EXPECT_EQ(tokenizer.encode("ab"), Ids{2});
  EXPECT_EQ(tokenizer.decode(Ids{2, 6, 2}, false), "abab");
}

TEST(TokenizerInput, DeepNestingIsAnError) {
  std::string inner = R"({"type":"NFC"})";
  for (int i = 0; i < 2000; ++i) inner = R"({"type":"Sequence","normalizers":[)" + inner + "]}";
  EXPECT_THROW(Json::parse(R"({"normalizer":)" + inner + "}", "tokenizer.json"), FormatError);
}

TEST(TokenizerInput, MergesNeverMakeStructureOfUsersWords) {
  json value = small();
  value["model"]["vocab"] = {{"<", 0}, {"s", 1}, {">", 2}, {"<s", 3}, {"<s>", 4}};
  value["model"]["merges"] = {"< s", "<s >"};
  value["added_tokens"][0]["id"] = 4;
  EXPECT_EQ(load(value).encode("<s>"), Ids{4});
  EXPECT_EQ(load(value).encode("<s>", true, false), (Ids{3, 2}));
  value["model"]["ignore_merges"] = true;
  EXPECT_EQ(load(value).encode("<s>", true, false), (Ids{3, 2}));
  // Nor does normalization: here it turns other letters into the token's.
  value["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "x"}}}, {"content", "s"}};
  value["added_tokens"][0]["normalized"] = true;
  EXPECT_EQ(load(value).encode("<x>"), Ids{4});
  EXPECT_EQ(load(value).encode("<x>", true, false), (Ids{3, 2}));
}

TEST(TokenizerInput, UnknownCharactersFuse) {
  json value = small();
  value["model"]["vocab"]["<unk>"] = 6;
  value["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(load(value).encode("axyb"), (Ids{0, 6, 6, 1}));
  value["model"]["fuse_unk"] = true;
  EXPECT_EQ(load(value).encode("axyb"), (Ids{0, 6, 1}));
}

TEST(TokenizerInput, UnigramWithoutUnknownTokenNamesTheCharacter) {
  json value = small();
  value["added_tokens"] = json::array();
  const json vocab =
      json::array({json::array({"a", -1.0}), json::array({"ab", -1.5}), json::array({"b", -1.0})});
  value["model"] = {{"type", "Unigram"}, {"vocab", vocab}};
  EXPECT_EQ(load(value).encode("abba"), (Ids{1, 2, 0}));
  try {
    load(value).encode("abx");
    ADD_FAILURE() << "accepted";
  } catch (const RequestError& e) {
    expect_names(e.what(), "\"x\"");
  }
}

TEST(TokenizerInput, FolderOfAnOlderBert) {
  const testing::TempFolder folder;
  folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n\u00e9\n");
  EXPECT_EQ(Tokenizer::load(folder.path()).encode("AB \u00c9 x"), (Ids{2, 5, 6, 1, 1, 3}));
  EXPECT_EQ(Tokenizer::load(folder.path()).decode(Ids{2, 5, 6, 3}, true), "ab");
  folder.write("tokenizer_config.json", R"({"do_lower_case": false, "cls_token": "a"})");
  EXPECT_EQ(Tokenizer::load(folder.path()).encode("\u00e9A"), (Ids{5, 1, 3}));
  EXPECT_EQ(Tokenizer::load(folder.path()).encode("\u00e9"), (Ids{5, 7, 3}));
  folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n");
  EXPECT_THROW(Tokenizer::load(folder.path()), ModelError);
}

TEST(TokenizerInput, FolderWithConfig) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "tokenizer_input_test";
  std::filesystem::create_directories(folder);
  EXPECT_THROW(Tokenizer::load(folder / "missing"), ModelError);
  std::ofstream(folder / "tokenizer.json") << small().dump();
  EXPECT_EQ(Tokenizer::load(folder).bos_token(), std::nullopt);
  const auto with_config = [&](const char* config) {
    std::ofstream(folder / "tokenizer_config.json") << config;
    return Tokenizer::load(folder);
  };
  const auto named = with_config(R"({"bos_token": {"content": "<s>"}, "eos_token": "b"})");
  EXPECT_EQ(named.bos_token(), 5);
  EXPECT_EQ(named.eos_token(), 1);
  EXPECT_EQ(named.encode("a"), Ids{0});
  // transformers 5 leaves this to the post-processor of tokenizer.json.
  EXPECT_EQ(with_config(R"({"bos_token": "<s>", "add_bos_token": true})").encode("a"), Ids{0});
  EXPECT_THROW(with_config("{"), ModelError);
  EXPECT_THROW(with_config(R"({"bos_token": 3})"), ModelError);
  std::filesystem::remove_all(folder);
}

TEST(TokenizerInput, TemplatesNeedAPlaceForTheText) {
  const auto processor = [](const char* single) {
    return json{{"type", "TemplateProcessing"},
                {"single", json::parse(single)},
                {"special_tokens", {{"<s>", {{"ids", {5}}}}}}};
  };
  json value = small();
  value["post_processor"] = processor(
      R"([{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<s>"}}])");
  EXPECT_EQ(load(value).encode("a"), (Ids{5, 0, 5}));
  for (const char* single :
       {"[]", R"([{"SpecialToken": {"id": "<s>"}}])", R"([{"Sequence": {"id": "B"}}])",
        R"([{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}])",
        R"([{"SpecialToken": {"id": "?"}}, {"Sequence": {"id": "A"}}])"}) {
    expect_names(error_with("/post_processor", processor(single)), "post_processor");
  }
}

}  // namespace
}  // namespace chiasm::language
