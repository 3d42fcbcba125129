// The GGUF reader on right and on hostile bytes.
#include "core/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_bytes.h"

namespace chiasm {
namespace {

using chiasm::testing::GgufBytes;
using chiasm::testing::throws;

constexpr std::uint32_t kF32 = 0, kQ4_1 = 3, kQ8_0 = 8, kQ6K = 14, kIq2Xxs = 16, kIq4Nl = 20;

GgufContents parse(const GgufBytes& b) {
  return parse_gguf(std::as_bytes(std::span(b.bytes)), "x.gguf");
}

void refused(const GgufBytes& b, std::initializer_list<std::string_view> words) {
  EXPECT_TRUE(throws<FormatError>([&] { parse(b); }, {"x.gguf: "}));
  EXPECT_TRUE(throws<FormatError>([&] { parse(b); }, words));
}

GgufBytes small() {
  GgufBytes b;
  b.header(2, 3).value("general.architecture", "llama").value("n", 7u);
  b.strings("words", {"a", "", "bc"});
  b.tensor("norm", {3}, kF32, 0).tensor("w", {64, 2}, kQ4_1, 32);
  return b.data(std::string(32 + 80, 'x'));
}

TEST(Gguf, ReadsMetadataAndTensors) {
  const GgufBytes b = small();
  const GgufContents g = parse(b);
  EXPECT_EQ(g.at("general.architecture").str(), "llama");
  EXPECT_EQ(g.at("n").integer(), 7);
  EXPECT_EQ(g.at("n").number(), 7.0);
  EXPECT_EQ(g.at("words").strings(), (std::vector<std::string_view>{"a", "", "bc"}));
  EXPECT_EQ(g.find("absent"), nullptr);
  const TensorEntry& norm = g.tensors.at("norm");
  EXPECT_EQ(norm.dtype, DType::f32);
  EXPECT_EQ(norm.shape, Shape({3}));
  EXPECT_EQ(norm.bytes.size(), 12u);
  EXPECT_FALSE(norm.blocks);
  const TensorEntry& w = g.tensors.at("w");
  EXPECT_EQ(w.shape, Shape({2, 64}));
  ASSERT_TRUE(w.blocks);
  EXPECT_EQ(*w.blocks, BlockType::q4_1);
  EXPECT_EQ(w.bytes.data(), norm.bytes.data() + 32);
  EXPECT_EQ(w.bytes.size(), 4u * 20);
}

TEST(Gguf, ReadsEveryTypeOfValue) {
  GgufBytes b;
  b.header(0, 14);
  b.text("u8").u32(0).number(std::uint8_t(200));
  b.text("i8").u32(1).number(std::int8_t(-5));
  b.text("u16").u32(2).number(std::uint16_t(60000));
  b.text("i16").u32(3).number(std::int16_t(-300));
  b.value("u32", 4000000000u);
  b.text("i32").u32(5).number(std::int32_t(-70000));
  b.value("f32", 1.5f);
  b.flag("bool", 1);
  b.value("text", "words");
  b.integers("integers", {1, -2});
  b.text("u64").u32(10).u64(1ull << 40);
  b.text("i64").u32(11).number(std::int64_t(-(1ll << 40)));
  b.text("f64").u32(12).number(0.1);
  b.text("nested").u32(9).u32(9).u64(2);  // an array of two arrays
  b.u32(4).u64(1).u32(9).u32(4).u64(0);
  const GgufContents g = parse(b);
  EXPECT_EQ(g.at("u8").integer(), 200);
  EXPECT_EQ(g.at("i8").integer(), -5);
  EXPECT_EQ(g.at("u16").integer(), 60000);
  EXPECT_EQ(g.at("i16").integer(), -300);
  EXPECT_EQ(g.at("u32").integer(), 4000000000);
  EXPECT_EQ(g.at("i32").integer(), -70000);
  EXPECT_EQ(g.at("f32").number(), 1.5);
  EXPECT_TRUE(g.at("bool").boolean());
  EXPECT_EQ(g.at("text").str(), "words");
  EXPECT_EQ(g.at("integers").integers(), (std::vector<std::int64_t>{1, -2}));
  EXPECT_EQ(g.at("integers").numbers(), (std::vector<double>{1, -2}));
  EXPECT_EQ(g.at("u64").integer(), 1ll << 40);
  EXPECT_EQ(g.at("i64").integer(), -(1ll << 40));
  EXPECT_EQ(g.at("f64").number(), 0.1);
  EXPECT_EQ(g.at("nested").size(), 2u);
}

TEST(Gguf, RefusesValuesOfAnotherType) {
  GgufBytes b;
  b.header(0, 3).value("text", "words").value("n", 1u);
  b.text("huge").u32(10).u64(std::numeric_limits<std::uint64_t>::max());
  const GgufContents g = parse(b);
  EXPECT_TRUE(throws<FormatError>([&] { g.at("text").integer(); }, {"x.gguf: text", "integer"}));
  EXPECT_TRUE(throws<FormatError>([&] { g.at("text").boolean(); }, {"x.gguf: text", "boolean"}));
  EXPECT_TRUE(throws<FormatError>([&] { g.at("text").strings(); }, {"array of strings"}));
  EXPECT_TRUE(throws<FormatError>([&] { g.at("n").str(); }, {"x.gguf: n", "a string"}));
  EXPECT_TRUE(throws<FormatError>([&] { g.at("n").integers(); }, {"array of integers"}));
  EXPECT_TRUE(throws<FormatError>([&] { g.at("huge").integer(); }, {"x.gguf: huge"}));
  EXPECT_TRUE(throws<FormatError>([&] { g.at("absent"); }, {"x.gguf", "absent"}));
}

TEST(Gguf, RefusesEveryTruncation) {
  const std::string whole = small().bytes;
  for (std::size_t size = 0; size < whole.size(); size++) {
    GgufBytes cut;
    cut.bytes = whole.substr(0, size);
    EXPECT_TRUE(throws<FormatError>([&] { parse(cut); }, {"x.gguf"})) << size;
  }
}

TEST(Gguf, RefusesWrongHeaders) {
  GgufBytes magic;
  magic.bytes = "GGML" + std::string(60, '\0');
  refused(magic, {"does not begin with \"GGUF\""});
  for (const std::uint32_t version : {0u, 1u, 4u, 3u << 24}) {
    refused(GgufBytes().header(0, 0, version), {"version " + std::to_string(version), "offset 4"});
  }
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  refused(GgufBytes().header(most, 0), {"number of tensors at offset 8"});
  refused(GgufBytes().header(0, most), {"number of metadata values at offset 16"});
}

TEST(Gguf, RefusesWrongMetadata) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const std::string room(64, '\0');
  refused(GgufBytes().header(0, 1).u64(most).data(room), {"a metadata key at offset 24"});
  refused(GgufBytes().header(0, 1).text("").data(room), {"has 0 bytes"});
  refused(GgufBytes().header(0, 1).text("k").u32(13).data(room), {"k: unknown type 13"});
  refused(GgufBytes().header(0, 1).text("k").u32(8).u64(most).data(room),
          {"k of ", "past the end"});
  refused(GgufBytes().header(0, 1).flag("k", 2).data(room), {"k: a boolean of 2"});
  refused(GgufBytes().header(0, 2).value("k", 1u).value("k", 2u).data(room), {"k: a second time"});
  // Counts whose bytes would overflow, of numbers, of strings and of arrays.
  for (const std::uint32_t element : {0u, 4u, 12u, 8u, 9u}) {
    refused(GgufBytes().header(0, 1).text("k").u32(9).u32(element).u64(most).data(room), {"k"});
  }
  GgufBytes deep;
  deep.header(0, 1).text("k").u32(9);
  for (int i = 0; i < 100; i++) deep.u32(9).u64(1);
  refused(deep, {"k: arrays nested deeper than 4"});
}

TEST(Gguf, RefusesWrongAlignments) {
  for (const std::uint32_t alignment : {0u, 3u, 48u, 1u << 30}) {
    refused(GgufBytes().header(0, 1).value("general.alignment", alignment),
            {"general.alignment", "no power of two"});
  }
  refused(GgufBytes().header(0, 1).value("general.alignment", "32"), {"an integer"});
  GgufBytes wide;
  wide.header(1, 1).value("general.alignment", 256u).tensor("w", {1}, kF32, 0);
  EXPECT_EQ(parse(wide.data("abcd", 256)).tensors.at("w").bytes.size(), 4u);
}

GgufBytes one(const std::vector<std::uint64_t>& dims, std::uint32_t type, std::uint64_t offset) {
  GgufBytes b;
  b.header(1, 0).tensor("w", dims, type, offset);
  return b.data(std::string(256, '\0'));
}

TEST(Gguf, RefusesWrongTensors) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  refused(one({}, kF32, 0), {"w: rank 0"});
  refused(one({1, 1, 1, 1, 1}, kF32, 0), {"w: rank 5"});
  refused(one({0}, kF32, 0), {"w: a dimension of 0"});
  refused(one({most}, kF32, 0), {"w: a dimension of"});
  refused(one({1ull << 33, 1ull << 33}, kF32, 0), {"w: shape", "too large"});
  refused(one({1ull << 62}, kF32, 0), {"w: shape", "too large"});
  refused(one({32, 1ull << 62}, kQ8_0, 0), {"w: shape", "too large"});
  refused(one({33}, kQ8_0, 0), {"w: rows of 33"});
  refused(one({128}, kQ6K, 0), {"w: rows of 128", "blocks of 256"});
  refused(one({512}, kQ6K, 0), {"w: 420 bytes at 0", "past the end"});
  refused(one({32, 1ull << 62}, kIq4Nl, 0), {"w: shape", "too large"});
  refused(one({256}, kIq2Xxs, 0), {"w: tensor type 16", "Q6_K and IQ4_NL"});
  EXPECT_EQ(parse(one({256}, kQ6K, 0)).tensors.at("w").bytes.size(), 210u);
  refused(one({4}, 1000, 0), {"w: tensor type 1000"});
  refused(one({4}, kF32, 4), {"w: 16 bytes at 4", "not aligned"});
  refused(one({65}, kF32, 0), {"w: 260 bytes at 0", "past the end"});
  refused(one({4}, kF32, 256), {"past the end"});
  refused(one({4}, kF32, most - 31), {"past the end"});
  EXPECT_EQ(parse(one({64}, kF32, 0)).tensors.size(), 1u);

  GgufBytes twice;
  twice.header(2, 0).tensor("w", {1}, kF32, 0).tensor("w", {1}, kF32, 32);
  refused(twice.data(std::string(64, '\0')), {"w: a second time"});
  GgufBytes overlap;
  overlap.header(2, 0).tensor("a", {16}, kF32, 0).tensor("b", {1}, kF32, 32);
  refused(overlap.data(std::string(64, '\0')), {"b: ", "overlap"});
}

}  // namespace
}  // namespace chiasm
