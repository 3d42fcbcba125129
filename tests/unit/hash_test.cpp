#include "core/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace chiasm {
namespace {

ContentHash hash(const std::string& text, std::uint64_t seed = 0) {
  return content_hash(std::as_bytes(std::span(text)), seed);
}

/// `size` bytes of a fixed pattern: byte i is 31 * i + 7.
std::string pattern(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; i++) text.push_back(char(31 * i + 7));
  return text;
}

// Each from Python: hashlib.blake2b(data, digest_size=16, salt=seed.to_bytes(8, "little")).
TEST(ContentHash, EqualsBlake2b) {
  EXPECT_EQ(hash(pattern(0), 0).hex(), "cae66941d9efbd404e4d88758ea67670");
  EXPECT_EQ(hash(pattern(1), 0x123456789abcdef1).hex(), "fd9335753ffcbbdf24231d959f5e971d");
  EXPECT_EQ(hash(pattern(3), 0x123456789abcdef3).hex(), "e19fcd7b63c5f5b7b6b44829934419d5");
  EXPECT_EQ(hash(pattern(63), 0x123456789abcdf2f).hex(), "2306652b439fabb2ca54d096f3abc319");
  EXPECT_EQ(hash(pattern(64), 0).hex(), "c9a3219266078fb118cab67903a6ebce");
  EXPECT_EQ(hash(pattern(127), 0x123456789abcdf6f).hex(), "cf0a68f75ffee0e586367c26bbd8f809");
  EXPECT_EQ(hash(pattern(128), 0).hex(), "44dca78cecea061046dbccca1749496d");
  EXPECT_EQ(hash(pattern(129), 0x123456789abcdf71).hex(), "d5dc9148df0bb54e07e28b930e3ca4a0");
  EXPECT_EQ(hash(pattern(255), 0x123456789abcdfef).hex(), "9c6783b8d9975df947ea184ec89b63e9");
  EXPECT_EQ(hash(pattern(256), 0).hex(), "5d411cf77b3872c6622da18ac3b97781");
  EXPECT_EQ(hash(pattern(257), 0x123456789abcdff1).hex(), "0a0c560e9f6b214f3aa43e47dbf6937d");
  EXPECT_EQ(hash(pattern(1000), 0).hex(), "de242f3e8fdda7433e553ea711051a42");
}

TEST(ContentHash, EveryBitMatters) {
  std::set<std::string> seen = {hash(pattern(300)).hex()};
  for (std::size_t bit = 0; bit < 300 * 8; bit++) {
    std::string text = pattern(300);
    text[bit / 8] = char(text[bit / 8] ^ (1 << (bit % 8)));
    seen.insert(hash(text).hex());
  }
  EXPECT_EQ(seen.size(), 300u * 8 + 1);
}

TEST(ContentHash, LengthAndSeedMatter) {
  EXPECT_NE(hash(std::string(1, '\0')), hash(std::string(2, '\0')));
  EXPECT_NE(hash("x", 1), hash("x", 2));
  EXPECT_LT(std::min(hash("a"), hash("b")), std::max(hash("a"), hash("b")));
}

// The published splitmix64 sequence from seed 0 (Steele, Lea and Flood, 2014): state k times the
// golden gamma gives output k + 1.
TEST(Mix64, EqualsSplitmix64) {
  constexpr std::uint64_t kGamma = 0x9e3779b97f4a7c15ull;
  static_assert(mix64(0) == 0xe220a8397b1dcdafull);
  EXPECT_EQ(mix64(kGamma), 0x6e789e6aa1b965f4ull);
  EXPECT_EQ(mix64(2 * kGamma), 0x06c45d188009454full);
  EXPECT_EQ(mix64(3 * kGamma), 0xf88bb8a8724c81ecull);
}

}  // namespace
}  // namespace chiasm
