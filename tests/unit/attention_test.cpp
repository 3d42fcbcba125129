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
    for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
      fill_pages(p, dtype);
      const auto s = sequences(p);
      const auto want = run(context(Isa::reference), p, paged(p), s);
      const double limit = bound(p);  // numbers of int8 pages are exact in float32
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

// Numbers that int8 rounds to themselves: whole multiples of a power of two, of which each group's
// largest is 127 of it.
void round_to_int8(std::vector<float>& x, std::int64_t dim) {
  for (std::size_t row = 0; row < x.size(); row += std::size_t(dim)) {
    for (std::int64_t at = 0; at < dim; at += kPageGroup) {
      const std::size_t begin = row + std::size_t(at),
                        end = begin + std::size_t(std::min(kPageGroup, dim - at));
      const float step = std::ldexp(1.0f, -5 + int(begin % 3));
      for (std::size_t i = begin; i < end; i++) {
        x[i] = std::clamp(std::round(x[i] / step), -127.0f, 127.0f) * step;
      }
      x[begin + row % (end - begin)] = 127 * step;
    }
  }
}

// The reference reads the same pages and gets queries on int8's grid, so the products of scores are
// exact. What is left are the same roundings as with products of bfloat16: weights are narrowed
// once they have their values' scales, and their total is not, so out moves by 2^-9 of the largest
// |v|.
TEST(Attention, Int8ProductsMatchTheReferenceOnQueriesOfItsGrid) {
  if (!has_bf16_products()) GTEST_SKIP() << "no AVX-512 BF16";
  const AttentionShape shapes[] = {shape_of(3, 1, 64),  shape_of(3, 3, 20),   shape_of(1, 1, 1),
                                   shape_of(2, 1, 72),  shape_of(8, 1, 17),   shape_of(1, 1, 256),
                                   shape_of(2, 1, 128), shape_of(2, 1, 33, 5)};
  float sign = 1;
  for (AttentionShape shape : shapes) {
    shape.bf16_products = true;
    shape.scale *= sign / 8;  // the largest of each group makes scores large
    sign = -sign;
    Problem p = make(shape, long_and_short());
    round_to_int8(p.q, shape.head_dim);
    fill_pages(p, DType::i8);
    const auto s = sequences(p);
    const auto want = run(context(Isa::reference), p, paged(p), s);
    EXPECT_TRUE(all_close(run(context(Isa::avx512), p, paged(p), s), want, 0, bf16_bound(p)))
        << shape.head_dim;
  }
}

// A number of int8 pages is off by half a step at most, and a step is 1/127 of the largest in its
// group, rounded up by 2^-7.
TEST(Attention, Int8PagesAreNearTheirNumbers) {
  Problem p = make(shape_of(2, 2, 48), {full(1, 200)});
  p.shape.scale = 0;  // all keys weigh the same: out is the mean value
  const auto want = run(context(Isa::reference), p, contiguous(p), sequences(p));
  fill_pages(p, DType::i8);
  double largest_v = 0;
  for (const float v : p.v) largest_v = std::max(largest_v, std::fabs(double(v)));
  const double step = largest_v / 127 * (1 + 0x1p-7);
  for (const Path& path : usable_paths()) {
    p.shape.bf16_products = path.bf16_products;
    const double narrowed = path.bf16_products ? 0x1p-9 * largest_v : 0;
    EXPECT_TRUE(all_close(run(context(path.isa), p, paged(p), sequences(p)), want, 0,
                          step / 2 + narrowed + 1e-6))
        << path.title();
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

TEST(WritePages, RoundsGroupsToInt8) {
  constexpr std::int64_t kDim = 40, kHeads = 2;
  auto x = random_floats(3 * kDim * kHeads, 10, 0, 3);
  std::fill_n(x.begin() + kDim, 32, 0.0f);  // a group of zeros,
  x[2 * kDim + 1] = 1e-44f;                 // numbers too small for a scale of their own,
  std::fill_n(x.begin() + 2 * kDim + 2, 30, 0.0f);
  x[std::size_t(2 * kDim)] = 0;
  x[5 * kDim + 35] = std::numeric_limits<float>::infinity();  // and one without a number
  std::vector<std::byte> pages(2 * page_bytes(kHeads, kDim, DType::i8));
  ASSERT_EQ(page_bytes(1, kDim, DType::i8), 64u * (40 + 2 * 2));
  const std::vector<std::int64_t> slot = {64, 0, 127};
  write_pages(context(Isa::portable), view(x, {3, kDim * kHeads}), kHeads, kDim, slot, pages.data(),
              DType::i8);
  for (std::int64_t i = 0; i < 3 * kHeads; i++) {
    const std::int64_t at = slot[std::size_t(i / kHeads)], page = at / 64, key = at % 64;
    const std::byte* head =
        pages.data() + std::size_t(page * kHeads + i % kHeads) * page_bytes(1, kDim, DType::i8);
    const auto* numbers = reinterpret_cast<const std::int8_t*>(head) + key * kDim;
    const auto* scales = reinterpret_cast<const bf16*>(head + 64 * kDim) + key;
    for (const std::int64_t begin : {std::int64_t(0), kPageGroup}) {
      const float* row = x.data() + i * kDim;
      const std::int64_t end = std::min(kDim, begin + kPageGroup);
      float most = 0;
      for (std::int64_t j = begin; j < end; j++) most = std::max(most, std::fabs(row[j]));
      const float scale = to_float(scales[begin / kPageGroup * 64]);
      if (!std::isfinite(most)) {
        EXPECT_TRUE(std::isnan(scale));
        continue;
      }
      EXPECT_GE(scale, most / 127) << i;
      EXPECT_LE(scale, std::max(most / 127 * (1 + 0x1p-7f), 1e-38f)) << i;
      for (std::int64_t j = begin; j < end; j++) {
        EXPECT_LE(std::fabs(float(numbers[j]) * scale - row[j]), scale * 0.5001f + 1e-37f)
            << i << ", " << j;
      }
    }
  }
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
