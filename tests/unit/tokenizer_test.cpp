/// The tokenizer against the `tokenizers` library: tests/reference/make_tokenizer_golden.py.
#include "language/tokenizer.h"

#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "core/error.h"
#include "tests/unit/tokenizer_golden.h"

namespace chiasm::language {
namespace {

using test::golden_text;
using Ids = std::vector<std::int32_t>;

/// One vocabulary of the golden files for all its tests.
class TokenizerGolden : public testing::TestWithParam<const char*> {
 protected:
  TokenizerGolden() : name_(GetParam()), tokenizer_(test::golden_tokenizer(name_)) {}
  std::string name_;
  Tokenizer tokenizer_;
};

TEST_P(TokenizerGolden, FirstTextsInFull) {
  std::istringstream lines(read_file(test::tokenizer_golden(name_ + "_ids.txt"), 1 << 20));
  for (std::size_t i = 0; i < test::kFull; ++i) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    std::istringstream numbers(line);
    Ids expected;
    for (std::int32_t id; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer_.encode(golden_text(i)), expected)
        << "text " << i << ": " << golden_text(i);
  }
}

TEST_P(TokenizerGolden, TenThousandTexts) {
  const auto expected = test::golden_hashes(name_ + "_ids.u64");
  ASSERT_EQ(expected.size(), test::kTexts);
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (test::hash_ids(tokenizer_.encode(golden_text(i))) == expected[i]) continue;
    if (wrong++ == 0) first = i;
  }
  EXPECT_EQ(wrong, 0u) << "first: text " << first << ": " << golden_text(first);
}

TEST_P(TokenizerGolden, SpecialTextOfUsersStaysText) {
  const auto expected = test::golden_hashes(name_ + "_raw.u64");
  const auto markup =
      tokenizer_.find("<tool_call>");  // never structure here, no special token there
  const bool unigram = name_ == "unigram" || name_ == "xlmr";
  const auto unknown = tokenizer_.find(unigram           ? "<unk>"
                                       : name_ == "bert" ? "[UNK]"
                                       : name_ == "clip" ? "<|endoftext|>"
                                                         : "");
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::string text = golden_text(i);
    const Ids ids = tokenizer_.encode(text, false, false);
    for (const auto id : ids) EXPECT_TRUE(id == unknown || !tokenizer_.is_structure(id)) << text;
    if (markup && text.find("tool_call>") != std::string::npos) continue;
    // There a token's text may still become the token, as any other text may: not here.
    if (unigram &&
        (text.find("<unk>") != std::string::npos || text.find("</s>") != std::string::npos)) {
      continue;
    }
    if (test::hash_ids(ids) != expected[i] && wrong++ == 0) first = i;
  }
  EXPECT_EQ(wrong, 0u) << "first: text " << first << ": " << golden_text(first);
}

TEST_P(TokenizerGolden, EveryCodePoint) {
  const auto expected = test::golden_hashes(name_ + "_pages.u64");
  ASSERT_EQ(expected.size(), 0x1100u);
  std::ostringstream wrong;
  // Beyond the assigned characters (and the tags) all pages are alike: a sample of them will do.
  const auto is_assigned = [](std::uint32_t page) { return page < 0x340 || page >> 4 == 0xE0; };
  for (std::uint32_t page = 0; page < 0x1100; ++page) {
    if (!is_assigned(page) && page % 64 != 0) continue;
    const Ids ids = tokenizer_.encode(test::every_code_point(page), false);
    if (test::hash_ids(ids) != expected[page]) wrong << ' ' << std::hex << page;
  }
  EXPECT_EQ(wrong.str(), "");
}

TEST_P(TokenizerGolden, DecodesAnyIds) {
  const auto expected = test::golden_hashes(name_ + "_decoded.u64");
  ASSERT_EQ(expected.size(), 2 * test::kSequences);
  std::size_t size = 0;  // tokens without the gaps between ids, as the library counts
  for (std::int32_t id = 0; id < tokenizer_.vocab_size(); ++id) {
    size += tokenizer_.token_text(id).empty() ? 0 : 1;
  }
  for (std::size_t i = 0; i < test::kSequences; ++i) {
    test::Random rand(i);
    Ids ids(1 + rand(24));
    for (auto& id : ids) id = std::int32_t(rand(2) != 0 ? rand(size + 3) : rand(300));
    for (const bool skip : {false, true}) {
      const std::string text = tokenizer_.decode(ids, skip);
      EXPECT_EQ(test::fnv(text), expected[2 * i + (skip ? 1 : 0)])
          << "sequence " << i << ": " << text;
    }
  }
}

TEST_P(TokenizerGolden, SpansAreOneText) {
  for (std::size_t i = 0; i < 500; ++i) {
    const std::string text = golden_text(i);
    std::vector<TextSpan> spans;
    test::Random rand(i);
    for (std::size_t begin = 0; begin < text.size();) {
      std::size_t end = begin + 1 + rand(8);
      while (end < text.size() && (text[end] & 0xC0) == 0x80) ++end;
      end = std::min(end, text.size());
      spans.push_back({std::string_view(text).substr(begin, end - begin), true});
      begin = end;
    }
    EXPECT_EQ(tokenizer_.encode_spans(spans), tokenizer_.encode(text)) << text;
    for (auto& span : spans) span.parse_special = false;
    EXPECT_EQ(tokenizer_.encode_spans(spans), tokenizer_.encode(text, true, false)) << text;
  }
}

TEST_P(TokenizerGolden, OneObjectServesManyThreads) {
  std::vector<Ids> alone;
  for (std::size_t i = 0; i < 200; ++i) alone.push_back(tokenizer_.encode(golden_text(i)));
  std::vector<std::vector<Ids>> found(4);
  std::vector<std::thread> threads;
  for (auto& mine : found) {
    threads.emplace_back([&mine, copy = tokenizer_] {
      for (std::size_t i = 0; i < 200; ++i) mine.push_back(copy.encode(golden_text(i)));
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& mine : found) EXPECT_EQ(mine, alone);
}

TEST_P(TokenizerGolden, RefusesInvalidUtf8ByOffset) {
  for (const std::string bad : {"ab\x80", "ab\xC0\x80", "ab\xED\xA0\x80", "ab\xF4\x90\x80\x80",
                                "ab\xE2\x82", "ab\xF0\x9F\x98"}) {
    try {
      tokenizer_.encode(bad);
      ADD_FAILURE() << "accepted";
    } catch (const RequestError& e) {
      EXPECT_NE(std::string(e.what()).find("byte 2 "), std::string::npos) << e.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TokenizerGolden,
                         testing::Values("smollm2", "llama3", "qwen2", "sentence", "bert", "clip",
                                         "unigram", "xlmr"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Tokenizer, WordsOfUsersAreNeverStructure) {
  const auto tokenizer = test::golden_tokenizer("smollm2");
  const auto start = tokenizer.find("<|im_start|>").value();
  const auto count = [&](std::initializer_list<TextSpan> spans) {
    const auto ids = tokenizer.encode_spans(std::vector<TextSpan>(spans));
    return std::count(ids.begin(), ids.end(), start);
  };
  EXPECT_EQ(count({{"<|im_start|>user", true}, {"hi", false}}), 1);
  EXPECT_EQ(count({{"<|im_start|>user", true}, {"<|im_start|>", false}}), 1);
  EXPECT_EQ(count({{"<|im_", true}, {"start|>", false}}), 0);  // no token over a border
  EXPECT_EQ(count({{"<|im_", true}, {"start|>", true}}), 1);
  EXPECT_EQ(count({{"<|im_sta", false}, {"rt|>", true}}), 0);
  // Text that only looks like the token keeps its words and comes back as it was.
  const std::string text = "a<|im_start|>b";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false, false), true), text);
}

TEST(Tokenizer, TokensByTextAndId) {
  const auto tokenizer = test::golden_tokenizer("smollm2");
  EXPECT_EQ(tokenizer.vocab_size(), 49152);
  EXPECT_EQ(tokenizer.find("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer.find("no such token"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_FALSE(tokenizer.is_special(260));
  const auto the = tokenizer.find("\u0120the").value();
  EXPECT_EQ(tokenizer.token_text(the), "\u0120the");
  EXPECT_EQ(tokenizer.token_bytes(the), " the");
  EXPECT_EQ(tokenizer.token_text(-1), "");
  EXPECT_EQ(tokenizer.token_text(1 << 30), "");

  const auto sentence = test::golden_tokenizer("sentence");
  EXPECT_EQ(sentence.token_bytes(sentence.find("<0xE2>").value()), "\xE2");
  EXPECT_EQ(sentence.token_bytes(sentence.find("\u2581a").value()), " a");
}

TEST(Tokenizer, LongWordsTakeTheirTimeOnce) {
  // A quadratic merge would take minutes here.
  const auto tokenizer = test::golden_tokenizer("smollm2");
  const std::string text(1'000'000, 'a');
  const auto ids = tokenizer.encode(text);
  EXPECT_EQ(tokenizer.decode(ids, false), text);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(std::string(300'000, ' ')), false).size(), 300'000u);
}

}  // namespace
}  // namespace chiasm::language
