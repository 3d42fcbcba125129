#pragma once
/// Attention problems for tests: sequences, masks, contiguous and paged keys, runs and bounds.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "tests/support/kernels.h"

namespace chiasm::kernels {

using namespace chiasm::testing;

inline constexpr double kUnit = 0x1p-24;

// One sequence: its queries, its keys and what each row sees.
struct Request {
  std::int64_t rows, keys;
  std::vector<std::int32_t> first, last;
};

inline Request full(std::int64_t rows, std::int64_t keys) {
  return {rows, keys, std::vector<std::int32_t>(std::size_t(rows), 0),
          std::vector<std::int32_t>(std::size_t(rows), std::int32_t(keys))};
}

// Rows are the last ones of a causal sequence.
inline Request causal(std::int64_t rows, std::int64_t keys) {
  Request r = full(rows, keys);
  for (std::int64_t i = 0; i < rows; i++) {
    r.last[std::size_t(i)] = std::int32_t(keys - rows + i + 1);
  }
  return r;
}

inline Request window(std::int64_t rows, std::int64_t keys, std::int32_t width) {
  Request r = causal(rows, keys);
  for (std::size_t i = 0; i < r.first.size(); i++) r.first[i] = std::max(0, r.last[i] - width);
  return r;
}

// The first `prefix` keys see one another, the rest is causal.
inline Request prefix(std::int64_t rows, std::int32_t prefix) {
  Request r = causal(rows, rows);
  for (std::int32_t& last : r.last) last = std::max(last, prefix);
  return r;
}

inline Request ragged(std::int64_t rows, std::int64_t keys, unsigned seed) {
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

inline void fill_pages(Problem& p, DType dtype) {
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
  const std::size_t bytes =
      std::size_t(pages) * page_bytes(p.shape.kv_heads, p.shape.head_dim, dtype);
  p.k_pages.assign(bytes, std::byte(0xff));  // NaN where nothing is written
  p.v_pages.assign(bytes, std::byte(0xff));
  const Context ctx = context(Isa::portable);
  write_pages(ctx, view(p.k, {p.key_rows, p.kv_width()}), p.shape.kv_heads, p.shape.head_dim, slots,
              p.k_pages.data(), dtype);
  write_pages(ctx, view(p.v, {p.key_rows, p.kv_width()}), p.shape.kv_heads, p.shape.head_dim, slots,
              p.v_pages.data(), dtype);
}

inline Problem make(const AttentionShape& shape, std::vector<Request> requests, unsigned seed = 1) {
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

inline KeyValues contiguous(const Problem& p) {
  KeyValues kv;
  kv.k = view(p.k, {p.key_rows, p.kv_width()}, "k");
  kv.v = view(p.v, {p.key_rows, p.kv_width()}, "v");
  return kv;
}

inline KeyValues paged(const Problem& p) {
  KeyValues kv;
  kv.k_pages = p.k_pages.data();
  kv.v_pages = p.v_pages.data();
  kv.page_dtype = p.page_dtype;
  return kv;
}

inline std::vector<AttentionSequence> sequences(const Problem& p) {
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

inline std::vector<float> run(const Context& ctx, const Problem& p, const KeyValues& kv,
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
inline double bound(const Problem& p) {
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

inline AttentionShape shape_of(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim,
                               float softcap = 0) {
  return {heads, kv_heads, head_dim, 1.0f / std::sqrt(float(head_dim)), softcap};
}

inline std::vector<Request> mixture() {
  return {full(70, 70),       causal(1, 200),      causal(130, 130),   window(90, 190, 33),
          prefix(100, 40),    full(0, 10),         causal(5, 64),      full(2, 1),
          ragged(50, 150, 7), window(40, 400, 64), ragged(13, 129, 8), full(3, 0)};
}

// A bfloat16 path, where this machine has one.
inline bool has_bf16_products() { return supported(Isa::avx512) && has_avx512_bf16(); }

// The paths of this machine: instruction sets, and the one with products of bfloat16.
struct Path {
  Isa isa;
  bool bf16_products = false;
  std::string title() const { return std::string(name(isa)) + (bf16_products ? "-bf16" : ""); }
};

inline std::vector<Path> usable_paths() {
  std::vector<Path> paths;
  for (const Isa isa : supported_isas()) paths.push_back({isa});
  if (has_bf16_products()) paths.push_back({Isa::avx512, true});
  return paths;
}

}  // namespace chiasm::kernels
