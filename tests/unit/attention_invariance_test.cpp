// Attention bit for bit against itself: alone, beside others, in chunks, with other threads, from
// pages, with garbage where no row looks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention.h"
#include "tests/support/attention_problem.h"
#include "tests/support/expect_error.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

// Each row as a sequence of its own, with only the keys up to the last it sees.
std::vector<float> row_by_row(const Context& ctx, const Problem& p, const KeyValues& kv) {
  std::vector<float> out(std::size_t(p.rows * p.width()), 0.5f);
  for (const AttentionSequence& whole : sequences(p)) {
    for (std::int64_t r = whole.q_begin; r < whole.q_begin + whole.q_count; r++) {
      AttentionSequence one = whole;
      one.q_begin = 0;
      one.q_count = 1;
      one.key_count = std::max<std::int64_t>(p.last[std::size_t(r)], 0);
      const std::vector<std::int32_t> first = {p.first[std::size_t(r)]},
                                      last = {p.last[std::size_t(r)]};
      attention(ctx, p.shape, TensorView<const float>(p.q.data() + r * p.width(), {1, p.width()}),
                kv, {&one, 1}, first, last,
                TensorView<float>(out.data() + r * p.width(), {1, p.width()}));
    }
  }
  return out;
}

TEST(Attention, ARowIsTheSameAloneInChunksFromPagesAndWithAnyThreads) {
  for (const AttentionShape& shape :
       {shape_of(2, 2, 64), shape_of(9, 3, 64), shape_of(3, 1, 20, 4), shape_of(50, 1, 8)}) {
    Problem p = make(shape, mixture());
    fill_pages(p, DType::f32);
    const auto s = sequences(p);
    for (const Path& path : usable_paths()) {
      p.shape.bf16_products = path.bf16_products;
      const auto all = run(context(path.isa, 1), p, contiguous(p), s);
      EXPECT_TRUE(bit_equal(run(context(path.isa, 2), p, contiguous(p), s), all)) << path.title();
      EXPECT_TRUE(bit_equal(run(context(path.isa, 3), p, paged(p), s), all)) << path.title();
      EXPECT_TRUE(bit_equal(row_by_row(context(path.isa, 1), p, contiguous(p)), all))
          << path.title();
      EXPECT_TRUE(bit_equal(row_by_row(context(path.isa, 1), p, paged(p)), all)) << path.title();
      std::vector<AttentionSequence> chunks;  // of 1, 2, 3, ... rows, last sequence first
      for (std::size_t i = s.size(); i-- > 0;) {
        for (std::int64_t done = 0, n = 1; done < s[i].q_count; done += n, n++) {
          AttentionSequence chunk = s[i];
          chunk.q_begin += done;
          chunk.q_count = std::min(n, s[i].q_count - done);
          chunks.push_back(chunk);
        }
      }
      auto cut = run(context(path.isa, 2), p, paged(p), chunks);
      EXPECT_TRUE(bit_equal(cut, all)) << path.title();
    }
  }
}

TEST(Attention, FewRowsWithManyKeysAreTheSameWhenThreadsShareTheKeys) {
  for (const AttentionShape& shape :
       {shape_of(3, 1, 64), shape_of(4, 2, 20), shape_of(1, 1, 256)}) {
    Problem p = make(shape, {causal(1, 1100), window(2, 1300, 700), ragged(3, 1600, 12)});
    for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
      fill_pages(p, dtype);
      const auto s = sequences(p);
      const auto want = run(context(Isa::reference), p, paged(p), s);
      for (const Path& path : usable_paths()) {
        p.shape.bf16_products = path.bf16_products;
        const auto one = run(context(path.isa, 1), p, paged(p), s);
        if (!path.bf16_products) {  // its bound needs rounded inputs
          EXPECT_TRUE(all_close(one, want, 0, bound(p))) << path.title() << ", " << shape.head_dim;
        }
        EXPECT_TRUE(bit_equal(run(context(path.isa, 2), p, paged(p), s), one)) << path.title();
        EXPECT_TRUE(bit_equal(run(context(path.isa, 3), p, paged(p), s), one)) << path.title();
        EXPECT_TRUE(bit_equal(row_by_row(context(path.isa, 3), p, paged(p)), one)) << path.title();
      }
    }
  }
}

TEST(Attention, ManyRowsOverSeveralPartsOfKeysMatchThoseRowsAlone) {
  Problem p = make(shape_of(4, 2, 32), {causal(40, 1080), full(7, 520)});
  fill_pages(p, DType::f32);
  const auto s = sequences(p);
  const auto want = run(context(Isa::reference), p, paged(p), s);
  for (const Path& path : usable_paths()) {
    p.shape.bf16_products = path.bf16_products;
    const auto all = run(context(path.isa, 2), p, contiguous(p), s);
    if (!path.bf16_products) {
      EXPECT_TRUE(all_close(all, want, 0, bound(p))) << path.title();
    }
    EXPECT_TRUE(bit_equal(row_by_row(context(path.isa, 2), p, paged(p)), all)) << path.title();
  }
}

// Few rows may read pages as they lie where many rows share a packed copy.
TEST(Attention, RowsOverNarrowPagesAreTheSameAloneAndInACrowd) {
  for (const AttentionShape& shape : {shape_of(9, 3, 64), shape_of(2, 1, 32), shape_of(6, 1, 96),
                                      shape_of(8, 2, 128), shape_of(3, 1, 20, 4)}) {
    Problem p = make(shape, {causal(33, 600), window(20, 1201, 301), ragged(5, 700, 3)});
    for (const DType dtype : {DType::bf16, DType::i8}) {
      fill_pages(p, dtype);
      const auto s = sequences(p);
      for (const Path& path : usable_paths()) {
        p.shape.bf16_products = path.bf16_products;
        const auto all = run(context(path.isa, 2), p, paged(p), s);
        EXPECT_TRUE(bit_equal(row_by_row(context(path.isa, 1), p, paged(p)), all)) << path.title();
        EXPECT_TRUE(bit_equal(row_by_row(context(path.isa, 2), p, paged(p)), all)) << path.title();
      }
    }
  }
}

TEST(Attention, KeysThatARowDoesNotSeeDoNotTouchIt) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Path& path : usable_paths()) {
    // Causal: the last token's key and value are poison; only the last row may notice.
    AttentionShape shape = shape_of(4, 2, 40);
    shape.bf16_products = path.bf16_products;
    Problem p = make(shape, {causal(75, 75)});
    const auto clean = run(context(path.isa), p, contiguous(p), sequences(p));
    for (std::int64_t i = 0; i < p.kv_width(); i++) {
      p.k[std::size_t(74 * p.kv_width() + i)] = nan;
      p.v[std::size_t(74 * p.kv_width() + i)] = infinity;
    }
    const auto poisoned = run(context(path.isa), p, contiguous(p), sequences(p));
    const std::size_t seen = std::size_t(74 * p.width());
    EXPECT_TRUE(bit_equal({poisoned.data(), seen}, {clean.data(), seen})) << path.title();
    EXPECT_TRUE(std::isnan(poisoned[seen])) << path.title();

    // Window: whole blocks before it are poison, and in the first visible one a part.
    Problem w = make(shape, {window(30, 500, 70)});
    const auto whole = run(context(path.isa), w, contiguous(w), sequences(w));
    const std::int64_t hidden = w.requests[0].first[0];
    for (std::int64_t i = 0; i < hidden * w.kv_width(); i++) {
      w.k[std::size_t(i)] = w.v[std::size_t(i)] = nan;
    }
    EXPECT_TRUE(bit_equal(run(context(path.isa), w, contiguous(w), sequences(w)), whole))
        << path.title();
  }
}

}  // namespace
}  // namespace chiasm::kernels
