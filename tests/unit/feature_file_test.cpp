// The bytes of features outside the process: what is written is read, and nothing else is.
#include "runtime/feature_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/safetensors.h"
#include "tests/support/features.h"

namespace chiasm {
namespace {

using testing::feature_bytes;
using testing::random_features;
using testing::same;

constexpr FeatureKey kKey{{0x1234, 0x5678}, {{0x9abc, 0xdef0}, 4}};
constexpr std::int64_t kWidth = 8;

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string whole() { return feature_bytes(kKey, random_features(1, 4, kWidth)); }

bool is_refused(const std::string& bytes) { return !parse_features(as_bytes(bytes), kKey, kWidth); }

TEST(FeatureFile, WhatIsWrittenIsRead) {
  const auto got = parse_features(as_bytes(whole()), kKey, kWidth);
  ASSERT_TRUE(got);
  EXPECT_TRUE(same(*got, random_features(1, 4, kWidth)));
  EXPECT_EQ(whole().size(), feature_file_bytes(kKey, kWidth));
}

TEST(FeatureFile, AnyReaderOfSafetensorsOpensIt) {
  const std::string bytes = whole();
  Metadata notes;
  const auto tensors = parse_safetensors(as_bytes(bytes), "test", &notes);
  ASSERT_EQ(tensors.size(), 1u);
  const TensorEntry& entry = tensors.at("features");
  EXPECT_EQ(entry.dtype, DType::f32);
  EXPECT_EQ(entry.shape, (Shape{4, kWidth}));
  const Tensor want = random_features(1, 4, kWidth);
  EXPECT_EQ(std::memcmp(entry.bytes.data(), want.data(), want.bytes()), 0);
  EXPECT_EQ((entry.bytes.data() - as_bytes(bytes).data()) % 64, 0);
  EXPECT_EQ(notes.at("format"), "chiasm.features");
  EXPECT_EQ(notes.at("version"), "1");
  EXPECT_EQ(notes.at("model"), kKey.model.hex());
  EXPECT_EQ(notes.at("medium"), kKey.medium.hash.hex());
  EXPECT_EQ(notes.at("checksum"), content_hash(entry.bytes).hex());
}

TEST(FeatureFile, AnyOtherLengthIsRefused) {
  for (std::size_t length = 0; length < whole().size(); length++) {
    ASSERT_TRUE(is_refused(whole().substr(0, length))) << length;
  }
  EXPECT_TRUE(is_refused(whole() + "x"));
  EXPECT_TRUE(is_refused(whole() + std::string(32, '\0')));
}

TEST(FeatureFile, AnyOtherBitIsRefused) {
  std::string bytes = whole();
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit++) {
    bytes[bit / 8] = char(bytes[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(is_refused(bytes)) << "bit " << bit;
    bytes[bit / 8] = char(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
  EXPECT_FALSE(is_refused(bytes));
}

TEST(FeatureFile, WholeFilesOfAnotherKeyOrShapeAreRefused) {
  const auto is_refused_as = [](const FeatureKey& key, std::int64_t width) {
    return !parse_features(as_bytes(whole()), key, width);
  };
  FeatureKey other = kKey;
  other.model.low++;
  EXPECT_TRUE(is_refused_as(other, kWidth)) << "of another model";
  other = kKey;
  other.medium.hash.high++;
  EXPECT_TRUE(is_refused_as(other, kWidth)) << "of another picture";
  for (const std::int64_t tokens : {0, 1, 2, 8, 16, 32}) {  // as many numbers, cut otherwise
    other = kKey;
    other.medium.tokens = tokens;
    EXPECT_TRUE(is_refused_as(other, tokens == 0 ? kWidth : 32 / tokens)) << tokens;
  }
}

TEST(FeatureFile, NamesDifferWhereKeysDo) {
  FeatureKey model = kKey, medium = kKey, tokens = kKey;
  model.model.high++;
  medium.medium.hash.low++;
  tokens.medium.tokens++;
  for (const FeatureKey& other : {model, medium, tokens}) EXPECT_NE(other.name(), kKey.name());
  EXPECT_EQ(kKey.name().size(), 32u);
}

}  // namespace
}  // namespace chiasm
