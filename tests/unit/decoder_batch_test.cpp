// Where the rows of a batch belong.
#include "language/decoder_batch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"

namespace chiasm::language {
namespace {

using namespace chiasm::testing;
using Keys = std::vector<std::int32_t>;

constexpr KvShape kShape{.layers = 1, .kv_heads = 1, .head_dim = 4, .dtype = DType::f32};

DecoderConfig config(std::int64_t window, std::vector<std::uint8_t> axis) {
  DecoderConfig c;
  c.sliding_window = window;
  c.rope.inv_freq = {1.0f, 0.5f, 0.25f};
  c.rope.axis = std::move(axis);
  return c;
}

TEST(DecoderBatch, RowsContinueTheirSequencesCausally) {
  KvPages pages(kShape, 4);
  SequenceState a(pages), b(pages);
  a.reserve(3);
  a.advance(3);
  const BatchPart parts[] = {{&a, 2}, {&b, 3}};
  Arena arena;
  const auto batch = DecoderBatch::lay_out(context(best_isa()), config(2, {}), parts, arena);
  EXPECT_EQ(batch.last_key, (Keys{4, 5, 1, 2, 3}));
  EXPECT_EQ(batch.full.first_key, (Keys{0, 0, 0, 0, 0}));
  EXPECT_EQ(batch.sliding.first_key, (Keys{2, 3, 0, 0, 1}));
  ASSERT_EQ(batch.sequences.size(), 2u);
  EXPECT_EQ(batch.sequences[1].q_begin, 2);
  EXPECT_EQ(batch.sequences[1].key_count, 3);
  EXPECT_EQ(batch.slot[1], a.slot(4));
  for (std::int64_t i = 0; i < 3; i++) {
    EXPECT_FLOAT_EQ(batch.full.cosine.row(1)[i], std::cos(4 * std::ldexp(1.0f, int(-i))));
    EXPECT_FLOAT_EQ(batch.full.cosine.row(4)[i], std::cos(2 * std::ldexp(1.0f, int(-i))));
  }
}

TEST(DecoderBatch, SpansLookBothWaysAndBeyondTheWindow) {
  KvPages pages(kShape, 4);
  SequenceState s(pages);
  const Keys last = {1, 5, 5, 5, 5, 6}, begin = {-1, 1, 1, 1, 1, -1};
  const BatchPart part{&s, 6, {}, last, begin};
  Arena arena;
  const auto batch = DecoderBatch::lay_out(context(best_isa()), config(2, {}), {&part, 1}, arena);
  EXPECT_EQ(batch.last_key, last);
  EXPECT_EQ(batch.sliding.first_key, (Keys{0, 0, 1, 1, 1, 4}));
}

TEST(DecoderBatch, LongSequencesTurnByTheirOwnFrequencies) {
  KvPages pages(kShape, 4);
  SequenceState a(pages), b(pages);
  auto c = config(0, {});
  c.rope.long_inv_freq = {0.5f, 0.25f, 0.125f};
  const Keys positions = {3, 5};
  BatchPart parts[] = {{&a, 2, positions}, {&b, 2, positions}};
  parts[1].is_long = true;
  Arena arena;
  const auto batch = DecoderBatch::lay_out(context(best_isa()), c, parts, arena);
  EXPECT_FLOAT_EQ(batch.full.sine.row(1)[2], std::sin(1.25f));
  EXPECT_FLOAT_EQ(batch.full.sine.row(2)[0], std::sin(1.5f));
  EXPECT_FLOAT_EQ(batch.full.cosine.row(3)[2], std::cos(0.625f));
}

TEST(DecoderBatch, PositionsOfThreeAxesTurnTheirPairs) {
  KvPages pages(kShape, 4);
  SequenceState a(pages), b(pages);
  const Keys positions = {7, 8, 20, 21, 30, 31};  // [axes][rows]
  const BatchPart parts[] = {{&a, 1}, {&b, 2, positions}};
  Arena arena;
  const auto c = config(0, {2, 0, 1});
  EXPECT_EQ(c.position_axes(), 3);
  const auto batch = DecoderBatch::lay_out(context(best_isa()), c, parts, arena);
  EXPECT_FLOAT_EQ(batch.full.sine.row(0)[0], 0);
  EXPECT_FLOAT_EQ(batch.full.sine.row(1)[0], std::sin(30.0f));
  EXPECT_FLOAT_EQ(batch.full.sine.row(1)[1], std::sin(3.5f));
  EXPECT_FLOAT_EQ(batch.full.sine.row(2)[2], std::sin(5.25f));
  const BatchPart wrong{&b, 2, {positions.data(), 2}};
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        DecoderBatch::lay_out(context(best_isa()), c, {&wrong, 1}, arena);
      },
      {"2 rows", "2 positions", "3 axes"}));
}

}  // namespace
}  // namespace chiasm::language
