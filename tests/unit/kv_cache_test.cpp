#include "language/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>

namespace chiasm::language {
namespace {

constexpr KvShape kShape{.layers = 2, .kv_heads = 3, .head_dim = 8, .dtype = DType::f32};

void stamp(const KvPages& pages, std::int32_t page, float value) {
  for (std::int64_t layer = 0; layer < kShape.layers; layer++) {
    auto* keys =
        reinterpret_cast<float*>(pages.keys(layer) + std::size_t(page) * kShape.page_bytes());
    for (std::size_t i = 0; i < kShape.page_bytes() / sizeof(float); i++) keys[i] = value;
  }
}

float stamped(const KvPages& pages, std::int32_t page, std::int64_t layer) {
  const auto* keys =
      reinterpret_cast<const float*>(pages.keys(layer) + std::size_t(page) * kShape.page_bytes());
  return keys[kShape.page_bytes() / sizeof(float) - 1];
}

TEST(KvShape, CountsTheScalesOfInt8) {
  constexpr KvShape kNarrow{.layers = 2, .kv_heads = 3, .head_dim = 40, .dtype = DType::i8};
  EXPECT_EQ(kNarrow.page_bytes(), 3u * 64 * (40 + 2 * 2));  // two groups, a bfloat16 scale each
  EXPECT_EQ(kNarrow.token_bytes(), 2u * 2 * 3 * 44);
  constexpr KvShape kHalf{.layers = 2, .kv_heads = 3, .head_dim = 40, .dtype = DType::f16};
  EXPECT_THROW(kHalf.page_bytes(), ShapeError);
}

TEST(KvPages, CountsAndRefuses) {
  KvPages pages(kShape, 2);
  const std::int32_t a = pages.acquire();
  pages.acquire();
  EXPECT_EQ(pages.available(), 0);
  EXPECT_THROW(pages.acquire(), RequestError);
  pages.retain(a);
  pages.release(a);
  EXPECT_EQ(pages.available(), 0);
  pages.release(a);
  EXPECT_EQ(pages.available(), 1);
}

TEST(SequenceState, TakesPagesAsItGrowsAndGivesThemBack) {
  KvPages pages(kShape, 4);
  {
    SequenceState s(pages);
    s.reserve(65);
    EXPECT_EQ(s.pages().size(), 2u);
    s.advance(65);
    EXPECT_EQ(s.slot(64), std::int64_t(s.pages()[1]) * 64);
    s.truncate(64);
    EXPECT_EQ(s.pages().size(), 1u);
    EXPECT_EQ(s.length(), 64);
  }
  EXPECT_EQ(pages.available(), 4);
}

TEST(SequenceState, ForkSharesPagesUntilTheyAreWritten) {
  KvPages pages(kShape, 4);
  SequenceState a(pages);
  a.reserve(100);
  a.advance(100);
  stamp(pages, a.pages()[0], 1);
  stamp(pages, a.pages()[1], 2);

  SequenceState b = a.fork(90);
  EXPECT_EQ(b.length(), 90);
  EXPECT_EQ(b.pages(), a.pages());
  EXPECT_EQ(pages.available(), 2);

  b.reserve(91);  // the second page is about to be written: b gets its own copy
  EXPECT_EQ(b.pages()[0], a.pages()[0]);
  EXPECT_NE(b.pages()[1], a.pages()[1]);
  for (std::int64_t layer = 0; layer < kShape.layers; layer++) {
    EXPECT_EQ(stamped(pages, b.pages()[1], layer), 2);
  }
  stamp(pages, b.pages()[1], 3);
  EXPECT_EQ(stamped(pages, a.pages()[1], 0), 2);
}

TEST(SequenceState, FixedNumbersGoOnOnlyWhereTheyStand) {
  KvShape shape = kShape;
  shape.fixed = 5;
  KvPages pages(shape, 4);
  SequenceState a(pages);
  for (const float f : a.fixed()) EXPECT_EQ(f, 0);
  a.reserve(3);
  a.fixed()[4] = 7;
  a.advance(3);
  EXPECT_EQ(a.shareable(2), 0);
  EXPECT_EQ(a.shareable(9), 3);
  EXPECT_THROW(a.fork(2), ShapeError);
  EXPECT_THROW(a.truncate(2), ShapeError);
  SequenceState whole = a.fork(3), none = a.fork(0);
  EXPECT_EQ(whole.fixed()[4], 7);
  EXPECT_EQ(none.fixed()[4], 0);
  whole.fixed()[4] = 8;
  EXPECT_EQ(a.fixed()[4], 7);
  a.truncate(0);
  EXPECT_EQ(a.fixed()[4], 0);
}

TEST(SequenceState, ForkAtAPageBorderCopiesNothing) {
  KvPages pages(kShape, 4);
  SequenceState a(pages);
  a.reserve(128);
  a.advance(128);
  SequenceState b = a.fork(64);
  b.reserve(65);
  EXPECT_EQ(b.pages()[0], a.pages()[0]);
  EXPECT_EQ(pages.available(), 1);
}

}  // namespace
}  // namespace chiasm::language
