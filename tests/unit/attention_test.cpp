// Attention on every path against the reference in double, and what it refuses.
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/attention_problem.h"
#include "tests/support/expect_error.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

TEST(Attention, MatchesReferenceOnEveryPath) {
  const AttentionShape shapes[] = {shape_of(2, 2, 64),  shape_of(3, 1, 64), shape_of(9, 3, 20),
                                   shape_of(1, 1, 1),   shape_of(2, 1, 72), shape_of(8, 1, 17),
                                   shape_of(2, 2, 256), shape_of(4, 2, 80), shape_of(2, 1, 33, 5)};
  for (const AttentionShape& shape : shapes) {
    Problem p = make(shape, mixture());
    for (const DType dtype : {DType::f32, DType::bf16}) {
      fill_pages(p, dtype);
      const auto s = sequences(p);
      const auto want = run(context(Isa::reference), p, paged(p), s);
      const double limit = bound(p);
      for (const Isa isa : supported_isas()) {
        EXPECT_TRUE(all_close(run(context(isa), p, paged(p), s), want, 0, limit))
            << name(isa) << ", head size " << shape.head_dim << ", pages of " << name(dtype);
        if (dtype != DType::f32) continue;
        EXPECT_TRUE(all_close(run(context(isa), p, contiguous(p), s), want, 0, limit))
            << name(isa) << ", head size " << shape.head_dim;
      }
    }
  }
}

std::vector<Request> long_and_short() {
  std::vector<Request> all = mixture();
  for (Request& r : std::vector<Request>{causal(20, 1080), window(2, 1300, 700)}) all.push_back(r);
  return all;
}

void round_to_bf16(std::vector<float>& x) {
  for (float& v : x) v = to_float(to_bf16(v));
}

// The reference gets the rounded q, k and v, so their products are exact. Beyond the float32 bound:
// each weight is narrowed (2^-9 of it) and the total is the sum of the narrowed weights: numerator
// and denominator move by 2^-9 at most, out by 2 * 2^-9 of the largest |v|. VDPBF16PS adds a pair
// in an order and rounding of its own (two roundings a product, and subnormals are flushed), which
// doubles what the additions cost.
double bf16_bound(const Problem& p) {
  double largest_v = 0;
  for (const float v : p.v) largest_v = std::max(largest_v, std::fabs(double(v)));
  return 2 * bound(p) + 2 * 0x1p-9 * largest_v;
}

TEST(Attention, Bfloat16ProductsMatchTheReferenceOnRoundedInputs) {
  if (!has_bf16_products()) GTEST_SKIP() << "no AVX-512 BF16";
  const AttentionShape shapes[] = {shape_of(2, 2, 64),  shape_of(3, 1, 64), shape_of(9, 3, 20),
                                   shape_of(1, 1, 1),   shape_of(2, 1, 72), shape_of(8, 1, 17),
                                   shape_of(2, 2, 256), shape_of(4, 2, 80), shape_of(2, 1, 33, 5)};
  for (AttentionShape shape : shapes) {
    shape.bf16_products = true;
    for (const float sign : {1.0f, -1.0f}) {
      shape.scale *= sign;
      Problem p = make(shape, long_and_short());
      for (auto* x : {&p.q, &p.k, &p.v}) round_to_bf16(*x);
      const double limit = bf16_bound(p);
      for (const DType dtype : {DType::f32, DType::bf16}) {
        fill_pages(p, dtype);
        const auto s = sequences(p);
        const auto want = run(context(Isa::reference), p, contiguous(p), s);
        const Context ctx = context(Isa::avx512);
        EXPECT_TRUE(all_close(run(ctx, p, paged(p), s), want, 0, limit)) << shape.head_dim;
        EXPECT_TRUE(all_close(run(ctx, p, contiguous(p), s), want, 0, limit)) << shape.head_dim;
      }
    }
  }
}

TEST(Attention, Bfloat16ProductsChangeNothingElsewhere) {
  Problem p = make(shape_of(4, 2, 40), {causal(30, 200)});
  const auto s = sequences(p);
  for (const Isa isa : supported_isas()) {
    p.shape.bf16_products = false;
    const auto plain = run(context(isa), p, contiguous(p), s);
    p.shape.bf16_products = true;
    const bool narrows = isa == Isa::avx512 && has_bf16_products();
    EXPECT_EQ(bit_equal(run(context(isa), p, contiguous(p), s), plain), !narrows) << name(isa);
  }
}

TEST(Attention, SharpAndExtremeScoresStayRight) {
  Problem p = make(shape_of(2, 1, 48), {causal(70, 300), full(10, 65)});
  for (float& x : p.q) x *= 40;  // scores of some thousand: one key takes all
  const auto s = sequences(p);
  const auto want = run(context(Isa::reference), p, contiguous(p), s);
  for (const Isa isa : supported_isas()) {
    EXPECT_TRUE(all_close(run(context(isa), p, contiguous(p), s), want, 0, bound(p))) << name(isa);
  }
}

TEST(Attention, RowsThatSeeNothingGiveZeros) {
  Request r = full(8, 100);
  for (std::size_t i = 0; i < 8; i += 2) r.first[i] = r.last[i] = std::int32_t(i * 13);
  Problem p = make(shape_of(2, 2, 24), {r});
  std::vector<Path> paths = usable_paths();
  paths.push_back({Isa::reference});
  for (const Path& path : paths) {
    p.shape.bf16_products = path.bf16_products;
    const auto out = run(context(path.isa), p, contiguous(p), sequences(p));
    for (std::int64_t i = 0; i < 8 * p.width(); i++) {
      EXPECT_EQ(out[std::size_t(i)] == 0, i / p.width() % 2 == 0) << path.title() << " at " << i;
    }
  }
}

TEST(Attention, TakesViewsOfAWiderMatrix) {
  const std::int64_t rows = 66, dim = 64, heads = 3, width = heads * dim;
  const auto qkv = random_floats(rows * 3 * width, 9);
  const TensorView<const float> all = view(qkv, {rows, 3 * width});
  Problem p = make(shape_of(heads, heads, dim), {full(rows, rows)});
  for (std::int64_t r = 0; r < rows; r++) {
    std::copy_n(all.row(r), width, p.q.data() + r * width);
    std::copy_n(all.row(r) + width, width, p.k.data() + r * width);
    std::copy_n(all.row(r) + 2 * width, width, p.v.data() + r * width);
  }
  KeyValues kv;
  kv.k = all.slice_cols(width, width);
  kv.v = all.slice_cols(2 * width, width);
  for (const Path& path : usable_paths()) {
    p.shape.bf16_products = path.bf16_products;
    const auto want = run(context(path.isa), p, contiguous(p), sequences(p));
    std::vector<float> wide(std::size_t(rows * 2 * width), 7);
    const TensorView<float> out = view(wide, {rows, 2 * width}).slice_cols(width, width);
    attention(context(path.isa), p.shape, all.slice_cols(0, width), kv, sequences(p), p.first,
              p.last, out);
    for (std::int64_t r = 0; r < rows; r++) {
      EXPECT_TRUE(bit_equal({out.row(r), std::size_t(width)},
                            {want.data() + r * width, std::size_t(width)}));
      EXPECT_EQ(out.row(r)[-1], 7);
    }
  }
}

TEST(Attention, SaysWhatIsWrong) {
  const Problem p = make(shape_of(4, 2, 8), {full(3, 5)});
  const Context ctx = context(best_isa());
  const auto attempt = [&](auto&& change) {
    return [&p, &ctx, change] {
      Problem bad = p;
      KeyValues kv = contiguous(bad);
      std::vector<AttentionSequence> s = sequences(bad);
      change(bad, kv, s);
      run(ctx, bad, kv, s);
    };
  };
  EXPECT_TRUE(throws<ShapeError>(attempt([](Problem& b, auto&, auto&) { b.shape.kv_heads = 3; }),
                                 {"attention", "4 heads", "3 KV heads"}));
  EXPECT_TRUE(throws<ShapeError>(attempt([](auto&, auto&, auto& s) { s[0].key_count = 6; }),
                                 {"sequence 0", "[0, 6) of 5"}));
  EXPECT_TRUE(throws<ShapeError>(attempt([](Problem& b, auto&, auto&) { b.last[1] = 6; }),
                                 {"row 1", "[0, 6) of 5"}));
  EXPECT_TRUE(throws<ShapeError>(attempt([](Problem& b, auto&, auto&) { b.first[2] = -1; }),
                                 {"row 2", "[-1, 5) of 5"}));
  EXPECT_TRUE(throws<ShapeError>(attempt([](auto&, auto&, auto& s) { s[0].q_count = 4; }),
                                 {"query rows [0, 4) of 3"}));
  EXPECT_TRUE(throws<ShapeError>(
      attempt([](auto&, KeyValues& kv, auto&) { kv.v = kv.v.slice_cols(0, 15); }), {"[5, 15]"}));
  EXPECT_TRUE(throws<ShapeError>(attempt([](Problem& b, auto&, auto&) {
                                   b.shape = shape_of(1, 1, 300);
                                   b.q.resize(900);
                                 }),
                                 {"head size 300"}));
}

TEST(WritePages, RoundsToBfloat16AndRefusesOtherFormats) {
  const auto x = random_floats(3 * 6, 10);
  std::vector<std::byte> pages(2 * 2 * 64 * 3 * 2);
  const std::vector<std::int64_t> slot = {64, 0, 127};
  const Context ctx = context(Isa::portable);
  write_pages(ctx, view(x, {3, 6}), 2, 3, slot, pages.data(), DType::bf16);
  const auto* stored = reinterpret_cast<const bf16*>(pages.data());
  for (std::int64_t i = 0; i < 3; i++) {
    for (std::int64_t j = 0; j < 6; j++) {
      const std::int64_t s = slot[std::size_t(i)];
      const std::int64_t at = ((s / 64 * 2 + j / 3) * 64 + s % 64) * 3 + j % 3;
      EXPECT_EQ(stored[at].bits, to_bf16(x[std::size_t(i * 6 + j)]).bits);
    }
  }
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        write_pages(ctx, view(x, {3, 6}), 2, 3, slot, pages.data(), DType::f16);
      },
      {"write_pages", "float16"}));
}

}  // namespace
}  // namespace chiasm::kernels
