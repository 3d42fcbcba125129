/// The weights that a watch collects are those that the attention kernel sums values with.
#include "language/attention_watch.h"

#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/pictures.h"

namespace chiasm::language {
namespace {

using chiasm::testing::throws;
using chiasm::testing::vision_context;

constexpr std::int64_t kRows = 24, kHeads = 4, kKvHeads = 2, kDim = 32;  // a value for each key

struct Rows {
  Tensor q = float_tensor({kRows, kHeads*kDim}), k = float_tensor({kRows, kKvHeads*kDim});
  std::vector<std::int32_t> first = std::vector<std::int32_t>(kRows), last = first;

  Rows() {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (Tensor* t : {&q, &k}) {
      const auto view = t->view<float>();
      for (std::int64_t i = 0; i < view.shape().count(); i++) view.data()[i] = normal(random);
    }
    for (std::int32_t i = 0; i < kRows; i++) {  // a window of nine rows
      first[std::size_t(i)] = std::max(0, i - 8);
      last[std::size_t(i)] = i + 1;
    }
  }
};

kernels::AttentionShape shape_with(float softcap) {
  return {kHeads, kKvHeads, kDim, 0.4f, softcap, false};
}

/// The kernel's own weights: each key's value is a one in a place of its own. [rows, rows]
Tensor kernel_weights(const Rows& rows, float softcap) {
  Tensor v = float_tensor({kRows, kKvHeads * kDim}), out = float_tensor({kRows, kHeads * kDim});
  const auto ones = v.view<float>();
  std::fill_n(ones.data(), ones.shape().count(), 0.0f);
  for (std::int64_t j = 0; j < kRows; j++) {
    for (std::int64_t h = 0; h < kKvHeads; h++) ones.row(j)[h * kDim + j] = 1;
  }
  kernels::KeyValues kv;
  kv.k = rows.k.view<float>();
  kv.v = std::as_const(v).view<float>();
  const kernels::AttentionSequence all{0, kRows, kRows, 0, nullptr};
  kernels::attention(vision_context(), shape_with(softcap), rows.q.view<float>(), kv, {&all, 1},
                     rows.first, rows.last, out.view<float>());
  Tensor mean = float_tensor({kRows, kRows});
  for (std::int64_t i = 0; i < kRows; i++) {
    for (std::int64_t j = 0; j < kRows; j++) {
      double sum = 0;
      for (std::int64_t h = 0; h < kHeads; h++) sum += out.view<float>().row(i)[h * kDim + j];
      mean.view<float>().row(i)[j] = float(sum / kHeads);
    }
  }
  return mean;
}

class Watched : public ::testing::TestWithParam<float> {};

TEST_P(Watched, AreTheKernelsWeights) {
  const Rows rows;
  const Tensor want = kernel_weights(rows, GetParam());
  Tensor got = float_tensor({5, kRows});
  const auto view = got.view<float>();
  std::fill_n(view.data(), view.shape().count(), 0.0f);
  AttentionWatch watch{{1, 3}, view};
  for (std::int64_t layer = 0; layer < 4; layer++) {  // two of them count, half each
    watch.see(vision_context(), layer, shape_with(GetParam()), rows.q.view<float>(),
              rows.k.view<float>(), rows.first, rows.last);
  }
  for (std::int64_t i = 0; i < 5; i++) {
    for (std::int64_t j = 0; j < kRows; j++) {
      // Weights of at most 1 from float32 logits of about 10: a few units in the seventh digit.
      EXPECT_NEAR(view.row(i)[j], want.view<float>().row(kRows - 5 + i)[j], 3e-6) << i << " " << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Softcap, Watched, ::testing::Values(0.0f, 2.0f));

TEST(AttentionWatch, RefusesABatchOfAnotherLength) {
  const Rows rows;
  Tensor weights = float_tensor({2, kRows - 1});
  AttentionWatch watch{{0}, weights.view<float>()};
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        watch.see(vision_context(), 0, shape_with(0), rows.q.view<float>(), rows.k.view<float>(),
                  rows.first, rows.last);
      },
      {"24"}));
}

}  // namespace
}  // namespace chiasm::language
