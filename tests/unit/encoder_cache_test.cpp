// Features that are kept by content: what is found, and what goes first.
#include "runtime/encoder_cache.h"

#include <gtest/gtest.h>

namespace chiasm {
namespace {

EncoderCache::Key key(std::uint64_t content, std::int64_t tokens = 4) {
  return {{content, ~content}, tokens};
}

std::shared_ptr<const Tensor> features(std::int64_t tokens) {
  return std::make_shared<const Tensor>(float_tensor({tokens, 8}));
}

TEST(EncoderCache, FindsByContentAndCut) {
  EncoderCache cache(1 << 20);
  EXPECT_EQ(cache.find(key(1)), nullptr);
  const auto kept = features(4);
  cache.put(key(1), kept);
  EXPECT_EQ(cache.find(key(1)), kept);
  EXPECT_EQ(cache.find(key(2)), nullptr);
  EXPECT_EQ(cache.find(key(1, 5)), nullptr) << "beside others it is cut otherwise";
  EXPECT_EQ(cache.hits(), 1);
  EXPECT_EQ(cache.misses(), 3);
  EXPECT_EQ(cache.bytes(), kept->bytes());
}

TEST(EncoderCache, GivesUpTheLeastRecentlyUsed) {
  const std::size_t one = features(4)->bytes();
  EncoderCache cache(3 * one);
  for (std::uint64_t i = 0; i < 3; i++) cache.put(key(i), features(4));
  EXPECT_NE(cache.find(key(0)), nullptr);
  cache.put(key(3), features(4));
  EXPECT_EQ(cache.bytes(), 3 * one);
  EXPECT_EQ(cache.find(key(1)), nullptr);
  for (const std::uint64_t i : {0u, 2u, 3u}) EXPECT_NE(cache.find(key(i)), nullptr) << i;
}

TEST(EncoderCache, KeepsNothingThatIsOverItsLimit) {
  EncoderCache cache(100);
  cache.put(key(1), features(1));
  cache.put(key(2), features(1000));
  EXPECT_NE(cache.find(key(1)), nullptr);
  EXPECT_EQ(cache.find(key(2)), nullptr);
  EncoderCache none(0);
  none.put(key(1), features(1));
  EXPECT_EQ(none.bytes(), 0u);
}

}  // namespace
}  // namespace chiasm
