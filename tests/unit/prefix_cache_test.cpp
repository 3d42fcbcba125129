#include "runtime/prefix_cache.h"

#include <gtest/gtest.h>

namespace chiasm {
namespace {

using language::KvPages;
using language::SequenceState;

constexpr language::KvShape kShape{.layers = 1, .kv_heads = 1, .head_dim = 4, .dtype = DType::f32};

std::vector<std::uint64_t> keys(std::int64_t count, std::uint64_t from = 0) {
  std::vector<std::uint64_t> out;
  for (std::int64_t i = 0; i < count; i++) out.push_back(from + std::uint64_t(i));
  return out;
}

SequenceState filled(KvPages& pages, std::int64_t length) {
  SequenceState s(pages);
  s.reserve(length);
  s.advance(length);
  return s;
}

TEST(PrefixCache, FindsTheLongestPrefixWithinTheLimit) {
  KvPages pages(kShape, 16);
  PrefixCache cache(4);
  cache.put(keys(70), filled(pages, 70));
  auto other = keys(130);
  other[100] = 999;
  cache.put(other, filled(pages, 130));
  EXPECT_EQ(cache.take(pages, keys(200), 199).length(), 100);
  EXPECT_EQ(cache.take(pages, keys(200), 30).length(), 30);
  EXPECT_EQ(cache.take(pages, keys(200, 5), 199).length(), 0);
}

TEST(PrefixCache, AContinuationReplacesWhatItContinues) {
  KvPages pages(kShape, 16);
  PrefixCache cache(4);
  cache.put(keys(64), filled(pages, 64));
  cache.put(keys(128), filled(pages, 128));
  EXPECT_EQ(pages.available(), 16 - 2);
}

TEST(PrefixCache, ForgetsTheLeastRecentlyUsed) {
  KvPages pages(kShape, 16);
  PrefixCache cache(2);
  cache.put(keys(10, 0), filled(pages, 10));
  cache.put(keys(10, 100), filled(pages, 10));
  EXPECT_EQ(cache.take(pages, keys(10, 0), 9).length(), 9);  // now the most recent
  cache.put(keys(10, 200), filled(pages, 10));
  EXPECT_EQ(cache.take(pages, keys(10, 100), 9).length(), 0);
  EXPECT_TRUE(cache.forget_one());
  EXPECT_TRUE(cache.forget_one());
  EXPECT_FALSE(cache.forget_one());
  EXPECT_EQ(pages.available(), 16);
}

}  // namespace
}  // namespace chiasm
