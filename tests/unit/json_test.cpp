#include "core/json.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace chiasm {
namespace {

using testing::TempFolder;
using testing::throws;

Json parse(std::string_view text) { return Json::parse(text, "config.json"); }

/// Expects a FormatError that names the file and holds every one of `words`.
template <class Work>
::testing::AssertionResult refused(Work&& work, std::initializer_list<std::string_view> words) {
  const auto named = throws<FormatError>(work, {"config.json"});
  return named ? throws<FormatError>(work, words) : named;
}

TEST(Json, ReadsEveryType) {
  const Json json = parse(
      R"({"s":"text","i":-5,"f":2.5,"whole":512.0,"b":true,"n":null,"a":[1,2,3],"o":{"x":1}})");
  EXPECT_EQ(json["s"].str(), "text");
  EXPECT_EQ(json["i"].integer(), -5);
  EXPECT_EQ(json["f"].number(), 2.5);
  EXPECT_EQ(json["i"].number(), -5.0);
  EXPECT_EQ(json["whole"].integer(), 512);
  EXPECT_TRUE(json["b"].boolean());
  EXPECT_TRUE(json["n"].is_null());
  EXPECT_EQ(json["a"].integers(), (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(json["a"][2].integer(), 3);
  EXPECT_EQ(json["o"]["x"].integer(), 1);
  EXPECT_EQ(json["a"].size(), 3u);
  EXPECT_EQ(json["o"].size(), 1u);
  EXPECT_EQ(json["s"].size(), 0u);
}

TEST(Json, DefaultsStandInForMissingAndNull) {
  const Json json = parse(R"({"n":null,"i":7})");
  EXPECT_FALSE(json.has("n"));
  EXPECT_FALSE(json.has("missing"));
  EXPECT_TRUE(json.has("i"));
  EXPECT_EQ(json.integer("n", 3), 3);
  EXPECT_EQ(json.integer("i", 3), 7);
  EXPECT_EQ(json.number("missing", 0.5), 0.5);
  EXPECT_EQ(json.str("missing", "x"), "x");
  EXPECT_TRUE(json.boolean("missing", true));
  EXPECT_TRUE(refused([&] { (void)json.str("i", "x"); }, {"i", "expected a string"}));
}

TEST(Json, ErrorsNameThePath) {
  const Json json = parse(R"({"text_config":{"layers":[{"size":"big"}]}})");
  const Json size = json["text_config"]["layers"][0]["size"];
  EXPECT_EQ(size.where(), "config.json: text_config.layers[0].size");
  EXPECT_TRUE(refused([&] { (void)size.integer(); }, {"text_config.layers[0].size", "\"big\""}));
  EXPECT_TRUE(refused([&] { (void)size.boolean(); }, {"text_config.layers[0].size"}));
  EXPECT_TRUE(refused([&] { (void)size.number(); }, {"text_config.layers[0].size"}));
  EXPECT_TRUE(refused([&] { (void)size.integers(); }, {"expected an array, got string"}));
  EXPECT_TRUE(
      refused([&] { (void)json["text_config"]["x"]; }, {"text_config", "missing key \"x\""}));
  EXPECT_TRUE(refused([&] { (void)size["x"]; }, {"expected an object, got string"}));
  EXPECT_TRUE(refused([&] { (void)json["text_config"]["layers"][1]; }, {"no element 1"}));
  EXPECT_TRUE(refused([&] { (void)json["text_config"][0]; }, {"expected an array, got object"}));
}

TEST(Json, ChecksRangesOfIntegers) {
  const Json json = parse(R"([9223372036854775807, 9223372036854775808, 1.5, 1e300,
                              -9223372036854775808, 1e15])");
  EXPECT_EQ(json[0].integer(), std::numeric_limits<std::int64_t>::max());
  EXPECT_TRUE(refused([&] { (void)json[1].integer(); }, {"[1]", "too large"}));
  EXPECT_TRUE(refused([&] { (void)json[2].integer(); }, {"[2]", "whole number"}));
  EXPECT_TRUE(refused([&] { (void)json[3].integer(); }, {"[3]", "whole number"}));
  EXPECT_EQ(json[4].integer(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(json[5].integer(), 1'000'000'000'000'000);
}

TEST(Json, ReadsInfinityAsPythonWritesIt) {
  const Json json =
      parse(R"({"limit": [0.0, Infinity, -Infinity], "Infinity": "\"-Infinity\\\\"})");
  EXPECT_EQ(json["limit"][1].number(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(json["limit"][2].number(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(json["Infinity"].str(), "\"-Infinity\\\\");
  for (const char* text : {"Infinity1", "1Infinity", "[--Infinity]", "[InfinityInfinity]",
                           "{Infinity: 1}", "\"Infinity", "[+Infinity]", "\\Infinity"}) {
    EXPECT_THROW(parse(text), FormatError) << text;
  }
}

TEST(Json, ReadsInfinityAsTransformersWritesIt) {
  const Json json =
      parse(R"([{"__float__":"Infinity"},{"__float__":"-Infinity"},{"__float__":"x"}])");
  EXPECT_EQ(json[0].number(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(json[1].number(), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(refused([&] { (void)json[2].number(); }, {"[2]"}));
}

TEST(Json, RefusesBrokenText) {
  for (const std::string_view text :
       {"", "{", "{\"a\":1,}", "{} x", "[1,2", "\"\xc3\"", "{\"a\":NaN}", "// x\n{}", "1e999",
        "'a'", "{\"a\":\"\xed\xa0\x80\"}", "[01]"}) {
    EXPECT_TRUE(refused([&] { parse(text); }, {"not valid JSON"})) << text;
  }
}

TEST(Json, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_TRUE(refused([] { parse(R"({"a":1,"a":2})"); }, {"duplicate key \"a\""}));
  EXPECT_TRUE(refused([] { parse(R"([{"x":{"b":1,"\u0062":2}}])"); }, {"duplicate key \"b\""}));
  EXPECT_EQ(parse(R"([{"a":1},{"a":2,"b":{"a":3}}])").size(), 2u);
}

TEST(Json, RefusesDeepNesting) {
  const auto nested = [](int levels) {
    return std::string(std::size_t(levels), '[') + std::string(std::size_t(levels), ']');
  };
  EXPECT_NO_THROW(parse(nested(60)));
  EXPECT_TRUE(refused([&] { parse(nested(70)); }, {"nested deeper than 64"}));
  EXPECT_TRUE(refused([&] { parse(std::string(1'000'000, '[')); }, {"nested deeper than 64"}));
}

TEST(Json, BriefIsShortAndPrintable) {
  const Json json = parse(R"([[1,2],{"a":1},"\u001b[31mred",7])");
  EXPECT_EQ(json[0].brief(), "array");
  EXPECT_EQ(json[1].brief(), "object");
  EXPECT_EQ(json[2].brief(), R"("\u001b[31mred")");
  EXPECT_EQ(json[3].brief(), "7");
  EXPECT_EQ(parse("\"" + std::string(1000, 'x') + "\"").brief().size(), 63u);
}

TEST(Json, KeepsItsDocumentAlive) {
  const auto inner = [] { return parse(R"({"a":{"b":"c"}})")["a"]["b"]; }();
  EXPECT_EQ(inner.str(), "c");
}

TEST(Json, LoadNamesTheFile) {
  const TempFolder folder;
  EXPECT_TRUE(throws<ModelError>([&] { Json::load(folder.path() / "no.json"); }, {"no.json"}));
  EXPECT_TRUE(throws<ModelError>([&] { Json::load(folder.path()); }, {"is a folder"}));
  const auto path = folder.write("config.json", "[1,2,3]");
  EXPECT_EQ(Json::load(path).size(), 3u);
  EXPECT_TRUE(throws<ModelError>([&] { Json::load(path, 3); }, {"7 bytes", "limit of 3"}));
}

}  // namespace
}  // namespace chiasm
