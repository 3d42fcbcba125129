// Attention on every path against the reference in double, and bit for bit against itself: alone,
// beside others, in chunks, with other threads, from pages, with garbage where no row looks.
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

constexpr double kUnit = 0x1p-24;

// One sequence: its queries, its keys and what each row sees.
struct Request {
  std::int64_t rows, keys;
  std::vector<std::int32_t> first, last;
};

Request full(std::int64_t rows, std::int64_t keys) {
  return {rows, keys, std::vector<std::int32_t>(std::size_t(rows), 0),
          std::vector<std::int32_t>(std::size_t(rows), std::int32_t(keys))};
}

// Rows are the last ones of a causal sequence.
Request causal(std::int64_t rows, std::int64_t keys) {
  Request r = full(rows, keys);
  for (std::int64_t i = 0; i < rows; i++) {
    r.last[std::size_t(i)] = std::int32_t(keys - rows + i + 1);
  }
  return r;
}

Request window(std::int64_t rows, std::int64_t keys, std::int32_t width) {
  Request r = causal(rows, keys);
  for (std::size_t i = 0; i < r.first.size(); i++) r.first[i] = std::max(0, r.last[i] - width);
  return r;
}

// The first `prefix` keys see one another, the rest is causal.
Request prefix(std::int64_t rows, std::int32_t prefix) {
  Request r = causal(rows, rows);
  for (std::int32_t& last : r.last) last = std::max(last, prefix);
  return r;
}

Request ragged(std::int64_t rows, std::int64_t keys, unsigned seed) {
  Request r = full(rows, keys);
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < r.first.size(); i++) {
    r.first[i] = std::int32_t(random() % std::uint64_t(keys + 1));
    r.last[i] = std::int32_t(random() % std::uint64_t(keys + 1));  // half of them see nothing
  }
  return r;
}

// Packed sequences with random contents, as contiguous rows and as pages in random order.
struct Problem {
  AttentionShape shape;
  std::vector<Request> requests;
  std::int64_t rows = 0, key_rows = 0;
  std::vector<float> q, k, v;  // q and k of a unit length that makes attention sharp
  std::vector<std::int32_t> first, last;
  std::vector<std::vector<std::int32_t>> tables;
  std::vector<std::byte> k_pages, v_pages;
  DType page_dtype = DType::f32;

  std::int64_t width() const { return shape.heads * shape.head_dim; }
  std::int64_t kv_width() const { return shape.kv_heads * shape.head_dim; }
};

void fill_pages(Problem& p, DType dtype) {
  std::int32_t pages = 0;
  for (const Request& r : p.requests) {
    pages += std::int32_t((r.keys + kPageTokens - 1) / kPageTokens);
  }
  std::vector<std::int32_t> order(static_cast<std::size_t>(pages));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(11));
  std::vector<std::int64_t> slots;
  p.tables.clear();
  std::size_t next = 0;
  for (const Request& r : p.requests) {
    p.tables.emplace_back();
    for (std::int64_t i = 0; i < r.keys; i++) {
      if (i % kPageTokens == 0) p.tables.back().push_back(order[next++]);
      slots.push_back(p.tables.back().back() * kPageTokens + i % kPageTokens);
    }
  }
  p.page_dtype = dtype;
  const std::size_t bytes = std::size_t(pages * kPageTokens * p.kv_width()) * size_of(dtype);
  p.k_pages.assign(bytes, std::byte(0xff));  // NaN where nothing is written
  p.v_pages.assign(bytes, std::byte(0xff));
  const Context ctx = context(Isa::portable);
  write_pages(ctx, view(p.k, {p.key_rows, p.kv_width()}), p.shape.kv_heads, p.shape.head_dim, slots,
              p.k_pages.data(), dtype);
  write_pages(ctx, view(p.v, {p.key_rows, p.kv_width()}), p.shape.kv_heads, p.shape.head_dim, slots,
              p.v_pages.data(), dtype);
}

Problem make(const AttentionShape& shape, std::vector<Request> requests, unsigned seed = 1) {
  Problem p;
  p.shape = shape;
  for (const Request& r : requests) {
    p.rows += r.rows;
    p.key_rows += r.keys;
    p.first.insert(p.first.end(), r.first.begin(), r.first.end());
    p.last.insert(p.last.end(), r.last.begin(), r.last.end());
  }
  p.requests = std::move(requests);
  p.q = random_floats(p.rows * p.width(), seed, 0, 2);
  p.k = random_floats(p.key_rows * p.kv_width(), seed + 1);
  p.v = random_floats(p.key_rows * p.kv_width(), seed + 2, 0.2f);
  return p;
}

KeyValues contiguous(const Problem& p) {
  KeyValues kv;
  kv.k = view(p.k, {p.key_rows, p.kv_width()}, "k");
  kv.v = view(p.v, {p.key_rows, p.kv_width()}, "v");
  return kv;
}

KeyValues paged(const Problem& p) {
  KeyValues kv;
  kv.k_pages = p.k_pages.data();
  kv.v_pages = p.v_pages.data();
  kv.page_dtype = p.page_dtype;
  return kv;
}

std::vector<AttentionSequence> sequences(const Problem& p) {
  std::vector<AttentionSequence> out;
  std::int64_t q = 0, k = 0;
  for (std::size_t i = 0; i < p.requests.size(); i++) {
    const Request& r = p.requests[i];
    out.push_back({q, r.rows, r.keys, k, i < p.tables.size() ? p.tables[i].data() : nullptr});
    q += r.rows;
    k += r.keys;
  }
  return out;
}

std::vector<float> run(const Context& ctx, const Problem& p, const KeyValues& kv,
                       std::span<const AttentionSequence> s) {
  std::vector<float> out(std::size_t(p.rows * p.width()), 0.5f);
  attention(ctx, p.shape, view(p.q, {p.rows, p.width()}), kv, s, p.first, p.last,
            view(out, {p.rows, p.width()}));
  return out;
}

// A score is a sum of head_dim products, wrong by at most (head_dim + 3) u times the sum of their
// magnitudes E (softcap has slope <= 1 and adds some u of the cap); every weight is wrong by this
// relatively, in numerator and denominator; adding K weighted values, with a handful of roundings
// for exp, maximum and division, gives 2 K + 64 more. All that times the largest |v|.
double bound(const Problem& p) {
  const std::int64_t d = p.shape.head_dim;
  double largest_q = 0, largest_k = 0, largest_v = 0;
  std::int64_t keys = 0;
  for (const Request& r : p.requests) keys = std::max(keys, r.keys);
  const auto longest = [&](const std::vector<float>& x, std::int64_t width, std::int64_t rows,
                           double& out) {
    for (std::int64_t i = 0; i < rows * width / d; i++) {
      double sum = 0;
      for (std::int64_t j = 0; j < d; j++) sum += std::pow(double(x[std::size_t(i * d + j)]), 2);
      out = std::max(out, std::sqrt(sum));
    }
  };
  longest(p.q, p.width(), p.rows, largest_q);
  longest(p.k, p.kv_width(), p.key_rows, largest_k);
  for (const float v : p.v) largest_v = std::max(largest_v, std::fabs(double(v)));
  // sum |q_i k_i| <= |q| |k| (Cauchy and Schwarz)
  const double score = double(d + 3) * std::fabs(double(p.shape.scale)) * largest_q * largest_k +
                       8 * double(p.shape.softcap);
  return kUnit * (2 * score + 2 * double(keys) + 64) * largest_v;
}

AttentionShape shape_of(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim,
                        float softcap = 0) {
  return {heads, kv_heads, head_dim, 1.0f / std::sqrt(float(head_dim)), softcap};
}

std::vector<Request> mixture() {
  return {full(70, 70),       causal(1, 200),      causal(130, 130),   window(90, 190, 33),
          prefix(100, 40),    full(0, 10),         causal(5, 64),      full(2, 1),
          ragged(50, 150, 7), window(40, 400, 64), ragged(13, 129, 8), full(3, 0)};
}

// A bfloat16 path, where this machine has one.
bool has_bf16_products() { return supported(Isa::avx512) && has_avx512_bf16(); }

// The paths of this machine: instruction sets, and the one with products of bfloat16.
struct Path {
  Isa isa;
  bool bf16_products = false;
  std::string title() const { return std::string(name(isa)) + (bf16_products ? "-bf16" : ""); }
};

std::vector<Path> usable_paths() {
  std::vector<Path> paths;
  for (const Isa isa : usable_isas()) paths.push_back({isa});
  if (has_bf16_products()) paths.push_back({Isa::avx512, true});
  return paths;
}

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
      for (const Isa isa : usable_isas()) {
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
  for (const Isa isa : usable_isas()) {
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
  for (const Isa isa : usable_isas()) {
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
    for (const DType dtype : {DType::f32, DType::bf16}) {
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
