// Attention with a bias of distance, against a plain sum in double.
#include "kernels/relative_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/isa.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using chiasm::testing::all_close;
using chiasm::testing::bit_equal;
using chiasm::testing::throws;

struct Problem {
  std::int64_t heads, head_dim, buckets;
  std::vector<std::int64_t> counts;
  std::vector<float> qkv, bias;
  std::int64_t rows() const {
    std::int64_t all = 0;
    for (const auto c : counts) all += c;
    return all;
  }
  std::int64_t dim() const { return heads * head_dim; }
};

Problem random_problem(std::int64_t heads, std::int64_t head_dim,
                       std::vector<std::int64_t> counts) {
  Problem p{heads, head_dim, 32, std::move(counts), {}, {}};
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < p.rows() * 3 * p.dim(); i++) p.qkv.push_back(normal(random));
  for (std::int64_t i = 0; i < p.buckets * heads; i++) p.bias.push_back(normal(random));
  return p;
}

std::vector<float> run(const Problem& p, int threads) {
  const Context ctx = testing::context(best_isa(), threads);
  std::vector<float> out(std::size_t(p.rows() * p.dim()), NAN);
  relative_attention(ctx, p.heads, 0.3f, {p.qkv.data(), {p.rows(), 3 * p.dim()}}, p.counts,
                     {p.bias.data(), {p.buckets, p.heads}}, 128,
                     {out.data(), {p.rows(), p.dim()}, "out"});
  return out;
}

std::vector<float> reference(const Problem& p) {
  std::vector<float> out(std::size_t(p.rows() * p.dim()));
  std::int64_t begin = 0;
  const auto at = [&](std::int64_t row, std::int64_t col) {
    return double(p.qkv[std::size_t(row * 3 * p.dim() + col)]);
  };
  for (const std::int64_t count : p.counts) {
    for (std::int64_t h = 0; h < p.heads; h++) {
      const std::int64_t q = h * p.head_dim, k = p.dim() + q, v = 2 * p.dim() + q;
      for (std::int64_t i = 0; i < count; i++) {
        std::vector<double> weights;
        double sum = 0;
        for (std::int64_t j = 0; j < count; j++) {
          double s = 0;
          for (std::int64_t d = 0; d < p.head_dim; d++)
            s += at(begin + i, q + d) * at(begin + j, k + d);
          const auto bucket = relative_bucket(j - i, p.buckets, 128);
          weights.push_back(std::exp(0.3f * s + double(p.bias[std::size_t(bucket * p.heads + h)])));
          sum += weights.back();
        }
        for (std::int64_t d = 0; d < p.head_dim; d++) {
          double mixed = 0;
          for (std::int64_t j = 0; j < count; j++)
            mixed += weights[std::size_t(j)] / sum * at(begin + j, v + d);
          out[std::size_t((begin + i) * p.dim() + q + d)] = float(mixed);
        }
      }
    }
    begin += count;
  }
  return out;
}

// Sums of head_dim and of count terms in float32: at most some (head_dim + count) * 2^-24 of their
// largest terms, here under 10.
TEST(RelativeAttention, MatchesTheReference) {
  for (const std::int64_t head_dim : {1, 3, 8, 13, 32}) {
    const Problem p = random_problem(2, head_dim, {1, 5, 0, 150, 2});
    EXPECT_TRUE(all_close(run(p, 2), reference(p), 1e-4, 2e-4)) << head_dim;
    EXPECT_TRUE(bit_equal(run(p, 1), run(p, 3)));
  }
}

TEST(RelativeAttention, ATextDependsOnNothingElse) {
  const Problem together = random_problem(2, 8, {7, 30});
  Problem alone = together;
  alone.counts = {30};
  alone.qkv.erase(alone.qkv.begin(), alone.qkv.begin() + 7 * 3 * 16);
  const auto all = run(together, 2), one = run(alone, 2);
  EXPECT_TRUE(bit_equal(std::span(all).subspan(7 * 16), one));
}

// transformers' relative_position_bucket(torch.tensor(...)) of MPNet.
TEST(RelativeAttention, BucketsAreTheReferences) {
  const std::vector<std::pair<std::int64_t, std::int64_t>> golden = {
      {0, 0},     {-1, 1},   {-7, 7},   {-8, 8},   {-11, 8},  {-12, 9},  {-16, 10},
      {-31, 11},  {-32, 12}, {-63, 13}, {-64, 14}, {-90, 14}, {-91, 15}, {-128, 15},
      {-900, 15}, {1, 17},   {7, 23},   {8, 24},   {16, 26},  {64, 30},  {200, 31}};
  for (const auto& [ahead, bucket] : golden) {
    EXPECT_EQ(relative_bucket(ahead, 32, 128), bucket) << ahead;
  }
}

TEST(RelativeAttention, RefusesShapesThatDoNotFit) {
  Problem p = random_problem(2, 4, {3});
  p.counts = {4};
  p.qkv.resize(std::size_t(4 * 3 * p.dim()));
  p.buckets = 3;
  EXPECT_TRUE(throws<ShapeError>([&] { run(p, 1); }, {"relative_attention", "3 buckets"}));
}

}  // namespace
}  // namespace chiasm::kernels
