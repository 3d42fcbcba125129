// Attention whose scores are products of int8: against the other kernels where rounding changes
// nothing, against the reference on rounded queries and keys, and bit for bit against itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"
#include "tests/support/attention_problem.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

// What the kernel does to each head of a row: whole multiples of its largest magnitude over 127.
void round_heads(std::vector<float>& x, std::int64_t dim) {
  for (std::size_t row = 0; row < x.size(); row += std::size_t(dim)) {
    const auto head = std::span(x).subspan(row, std::size_t(dim));
    float most = 0;
    for (const float v : head) most = std::max(most, std::fabs(v));
    if (most == 0) continue;
    for (float& v : head) v = std::nearbyint(v * (127 / most)) * (most / 127);
  }
}

AttentionShape int8_shape(std::int64_t heads, std::int64_t kv_heads, std::int64_t dim) {
  AttentionShape shape = shape_of(heads, kv_heads, dim);
  shape.bf16_products = shape.int8_scores = true;
  return shape;
}

std::vector<Request> long_and_short() {
  std::vector<Request> all = mixture();
  for (Request& r : std::vector<Request>{full(40, 1030), window(2, 1300, 700)}) all.push_back(r);
  return all;
}

const std::vector<AttentionShape>& shapes() {
  static const std::vector<AttentionShape> all = {
      int8_shape(2, 2, 64), int8_shape(12, 12, 64), int8_shape(3, 1, 20), int8_shape(1, 1, 1),
      int8_shape(2, 1, 72), int8_shape(8, 1, 17),   int8_shape(2, 2, 256)};
  return all;
}

// Rounding twice is rounding once but for the last bit of a scale, so the reference has the very
// products. What is left is what bfloat16 weights and values cost (attention_test.cpp), and the
// roundings of a score's two scales.
TEST(AttentionInt8Scores, MatchTheReferenceOnRoundedQueriesAndKeys) {
  if (!has_bf16_products()) GTEST_SKIP() << "no AVX-512 BF16";
  for (AttentionShape shape : shapes()) {
    for (const float sign : {1.0f, -1.0f}) {
      shape.scale *= sign;
      Problem p = make(shape, long_and_short());
      round_heads(p.q, shape.head_dim);
      round_heads(p.k, shape.head_dim);
      double largest_v = 0;
      for (float& v : p.v) {
        v = to_float(to_bf16(v));
        largest_v = std::max(largest_v, std::fabs(double(v)));
      }
      const auto want = run(context(Isa::reference), p, contiguous(p), sequences(p));
      const auto got = run(context(Isa::avx512), p, contiguous(p), sequences(p));
      EXPECT_TRUE(all_close(got, want, 0, 4 * bound(p) + 2 * 0x1p-9 * largest_v)) << shape.head_dim;
    }
  }
}

// Numbers that both kernels hold exactly, with scales that are powers of two.
TEST(AttentionInt8Scores, AreThoseOfBfloat16OnSmallIntegers) {
  if (!has_bf16_products()) GTEST_SKIP() << "no AVX-512 BF16";
  Problem p = make(int8_shape(3, 3, 64), long_and_short());
  p.shape.scale = 0x1p-12f;
  for (auto* x : {&p.q, &p.k}) {
    for (std::size_t i = 0; i < x->size(); i++) {
      (*x)[i] = i % 64 == i / 64 % 64 ? 127.0f : std::clamp(std::round((*x)[i] * 9), -127.f, 127.f);
    }
  }
  const auto got = run(context(Isa::avx512), p, contiguous(p), sequences(p));
  p.shape.int8_scores = false;
  const auto want = run(context(Isa::avx512), p, contiguous(p), sequences(p));
  EXPECT_TRUE(bit_equal(got, want));
}

TEST(AttentionInt8Scores, ARowIsTheSameAloneInChunksAndWithAnyThreads) {
  if (!has_bf16_products()) GTEST_SKIP() << "no AVX-512 BF16";
  for (const AttentionShape& shape : shapes()) {
    const Problem p = make(shape, long_and_short());
    const auto all = run(context(Isa::avx512, 1), p, contiguous(p), sequences(p));
    EXPECT_TRUE(bit_equal(run(context(Isa::avx512, 2), p, contiguous(p), sequences(p)), all));
    std::vector<AttentionSequence> chunks;  // of 1, 2, 3, ... rows
    for (const AttentionSequence& whole : sequences(p)) {
      for (std::int64_t done = 0, n = 1; done < whole.q_count; done += n, n++) {
        AttentionSequence chunk = whole;
        chunk.q_begin += done;
        chunk.q_count = std::min(n, whole.q_count - done);
        chunks.push_back(chunk);
      }
    }
    EXPECT_TRUE(bit_equal(run(context(Isa::avx512, 3), p, contiguous(p), chunks), all))
        << shape.head_dim;
  }
}

TEST(AttentionInt8Scores, WhatIsNotFiniteReachesThoseWhoSeeIt) {
  if (!has_bf16_products()) GTEST_SKIP() << "no AVX-512 BF16";
  for (const float poison :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Problem p = make(int8_shape(2, 2, 40), {causal(75, 75)});
    const auto clean = run(context(Isa::avx512), p, contiguous(p), sequences(p));
    p.k[std::size_t(74 * p.kv_width() + 3)] = poison;  // of the first head
    const auto poisoned = run(context(Isa::avx512), p, contiguous(p), sequences(p));
    const auto seen = std::size_t(74 * p.width());
    EXPECT_TRUE(bit_equal({poisoned.data(), seen}, {clean.data(), seen}));
    EXPECT_TRUE(std::isnan(poisoned[seen]));
    EXPECT_EQ(poisoned[seen + 40], clean[seen + 40]);  // of the second
  }
}

TEST(AttentionInt8Scores, ChangeNothingWhereTheCpuHasNoSuchProducts) {
  Problem p = make(shape_of(4, 2, 40), {full(30, 200)});
  for (const Isa isa : supported_isas()) {
    const auto plain = run(context(isa), p, contiguous(p), sequences(p));
    p.shape.int8_scores = true;
    EXPECT_TRUE(bit_equal(run(context(isa), p, contiguous(p), sequences(p)), plain)) << name(isa);
    p.shape.int8_scores = false;
  }
}

}  // namespace
}  // namespace chiasm::kernels
