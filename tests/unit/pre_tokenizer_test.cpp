/// Pre-tokenizers, normalizers and patterns against the `tokenizers` library.
#include "language/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "language/tokenizer_normalizer.h"
#include "tests/unit/tokenizer_golden.h"

namespace chiasm::language {
namespace {

TEST(PreTokenizer, CutsAsTheLibrary) {
  const Json golden = Json::load(test::tokenizer_golden("splits.json"));
  const Json texts = golden["texts"], cases = golden["cases"];
  ASSERT_GT(cases.size(), 100u);
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const PreTokenizer cut(cases[c]["config"]);
    for (std::size_t t = 0; t < texts.size(); ++t) {
      const Words words = cut.run(texts[t].str(), true);
      std::vector<std::string> found;
      for (std::size_t i = 0; i < words.size(); ++i) found.emplace_back(words[i]);
      EXPECT_EQ(found, cases[c]["words"][t].raw().get<std::vector<std::string>>())
          << cases[c]["config"].raw().dump() << "\ntext " << t << ": " << texts[t].str();
    }
  }
}

TEST(Normalizer, ChangesAsTheLibrary) {
  const Json golden = Json::load(test::tokenizer_golden("normalizers.json"));
  auto texts = golden["own"].raw().get<std::vector<std::string>>();
  const auto from = std::uint64_t(golden["from"].integer());
  for (std::uint64_t i = 0; i < std::uint64_t(golden["count"].integer()); ++i) {
    texts.push_back(test::golden_text(from + i));
  }
  const Json cases = golden["cases"];
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const Normalizer normalizer(cases[c]["config"]);
    std::string all;
    for (const auto& text : texts) {
      if (&text != &texts.front()) all += '\0';
      all += normalizer.run(text);
    }
    EXPECT_EQ(test::fnv(all), std::stoull(cases[c]["hash"].str(), nullptr, 16))
        << cases[c]["config"].raw().dump();
  }
}

TEST(Pattern, RefusesWhatItDoesNotKnow) {
  for (const char* pattern :
       {"(",           ")",          "[a",       "*a",          "a**b(",   "\\p{Nonsense}", "\\pL",
        "\\1",         "(?<name>a)", "(?x:a)",   "[[:alpha:]]", "\\R",     "\\X",           "\\K",
        "(?i:\u00DF)", "(?i:ss)",    "a(?i)b|c", "[z-a]",       "[a-\\d]", "\\x{110000}",   "\\",
        "a{2}?",       "(?s:.)",     "\\G",      "(a"}) {
    EXPECT_THROW(Pattern::regex(pattern), ModelError) << pattern;
  }
  EXPECT_THROW(Pattern::regex(std::string(10'000, 'a')), ModelError);
  EXPECT_THROW(Pattern::regex(std::string(2'000, '(') + std::string(2'000, ')')), ModelError);
}

TEST(Pattern, EndsExponentialSearches) {
  const auto pattern = Pattern::regex("(?:a+)+b");
  EXPECT_THROW(pattern.cut(std::string(200, 'a') + "cb"), RequestError);
}

TEST(CodePointSet, Algebra) {
  const CodePointSet a({{'a', 'f'}, {'x', 'z'}}), b({{'e', 'y'}});
  EXPECT_EQ(a | b, CodePointSet({{'a', 'z'}}));
  EXPECT_EQ(a & b, CodePointSet({{'e', 'f'}, {'x', 'y'}}));
  EXPECT_EQ(a ^ b, CodePointSet({{'a', 'd'}, {'g', 'w'}, {'z', 'z'}}));
  EXPECT_EQ(a.complement().complement(), a);
  EXPECT_EQ(CodePointSet().complement(), CodePointSet({{0, kLastCodePoint}}));
  EXPECT_TRUE(a.contains('f') && !a.contains('g') && a.contains('x') && !a.contains(0));
}

}  // namespace
}  // namespace chiasm::language
