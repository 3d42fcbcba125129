// attention over the shapes of real models: GFLOP/s with the share of the fp32 (or bfloat16) peak
// measured just before, and GB/s of keys and values. CHIASM_BENCH_THREADS sets the threads
// (default: all).
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "kernels/attention.h"

namespace {

using chiasm::Context;
using chiasm::DType;
using chiasm::Isa;
using chiasm::TensorView;
using chiasm::ThreadPool;
using chiasm::kernels::AttentionSequence;
using chiasm::kernels::kPageTokens;

struct Problem {
  const char* title;
  std::int64_t sequences, rows, keys, heads, kv_heads, head_dim;
  bool causal;
  DType pages;  // of the cache; contiguous keys where not causal
};

constexpr Problem kProblems[] = {
    {"vit", 1, 1024, 1024, 12, 12, 64, false, DType::f32},
    {"vit", 4, 1024, 1024, 12, 12, 64, false, DType::f32},
    {"prefill", 1, 1088, 1088, 9, 3, 64, true, DType::bf16},
    {"prefill", 1, 1088, 1088, 9, 3, 64, true, DType::i8},
    {"decode", 1, 1, 1088, 9, 3, 64, true, DType::bf16},
    {"decode", 1, 1, 1088, 9, 3, 64, true, DType::i8},
    {"decode", 1, 1, 1088, 9, 3, 64, true, DType::f32},
    {"decode", 8, 1, 1088, 9, 3, 64, true, DType::bf16},
    {"decode", 8, 1, 1088, 9, 3, 64, true, DType::i8},
    {"decode", 1, 1, 8192, 32, 8, 128, true, DType::bf16},
    {"decode", 1, 1, 8192, 32, 8, 128, true, DType::i8},
    {"decode", 1, 1, 65536, 32, 8, 128, true, DType::bf16},
    {"decode", 1, 1, 65536, 32, 8, 128, true, DType::i8},
};

ThreadPool& pool() {
  const char* threads = std::getenv("CHIASM_BENCH_THREADS");
  static ThreadPool shared(threads != nullptr ? std::atoi(threads) : 0);
  return shared;
}

std::vector<float> random_floats(std::int64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

// The tensors of a problem, laid out once.
struct Data {
  std::vector<float> q, k, v, out;
  std::vector<std::byte> k_pages, v_pages;
  std::vector<std::int32_t> table, first, last;
  std::vector<AttentionSequence> sequences;
  chiasm::kernels::KeyValues kv;
};

void lay_out(const Context& ctx, const Problem& p, Data& d) {
  const std::int64_t rows = p.sequences * p.rows, keys = p.sequences * p.keys;
  const std::int64_t kv_width = p.kv_heads * p.head_dim;
  const std::int64_t pages = (p.keys + kPageTokens - 1) / kPageTokens;
  d.q = random_floats(rows * p.heads * p.head_dim);
  d.out.resize(d.q.size());
  d.k = random_floats(keys * kv_width);
  d.v = d.k;
  std::vector<std::int64_t> slots;
  for (std::int64_t i = 0; i < p.sequences * pages; i++) d.table.push_back(std::int32_t(i));
  for (std::int64_t s = 0; s < p.sequences; s++) {
    for (std::int64_t i = 0; i < p.rows; i++) {
      d.first.push_back(0);
      d.last.push_back(std::int32_t(p.causal ? p.keys - p.rows + i + 1 : p.keys));
    }
    for (std::int64_t i = 0; i < p.keys; i++) slots.push_back(s * pages * kPageTokens + i);
    d.sequences.push_back({s * p.rows, p.rows, p.keys, s * p.keys, d.table.data() + s * pages});
  }
  const TensorView<const float> k(d.k.data(), {keys, kv_width}, "k");
  const TensorView<const float> v(d.v.data(), {keys, kv_width}, "v");
  if (!p.causal) {
    d.kv.k = k;
    d.kv.v = v;
    return;
  }
  const std::size_t bytes = std::size_t(p.sequences * pages) *
                            chiasm::kernels::page_bytes(p.kv_heads, p.head_dim, p.pages);
  d.k_pages.resize(bytes);
  d.v_pages.resize(bytes);
  chiasm::kernels::write_pages(ctx, k, p.kv_heads, p.head_dim, slots, d.k_pages.data(), p.pages);
  chiasm::kernels::write_pages(ctx, v, p.kv_heads, p.head_dim, slots, d.v_pages.data(), p.pages);
  d.kv.k_pages = d.k_pages.data();
  d.kv.v_pages = d.v_pages.data();
  d.kv.page_dtype = p.pages;
}

void run(benchmark::State& state, const Problem& p, Isa isa, bool bf16_products) {
  Context ctx;
  ctx.pool = &pool();
  ctx.isa = isa;
  Data d;
  lay_out(ctx, p, d);
  const std::int64_t rows = p.sequences * p.rows, width = p.heads * p.head_dim;
  const float scale = 1.0f / std::sqrt(float(p.head_dim));
  const auto peak = chiasm::bench::peak_rate(
      *ctx.pool, isa,
      bf16_products ? chiasm::bench::Arithmetic::bf16 : chiasm::bench::Arithmetic::fp32);
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    attention(ctx, {p.heads, p.kv_heads, p.head_dim, scale, 0, bf16_products},
              TensorView<const float>(d.q.data(), {rows, width}, "q"), d.kv, d.sequences, d.first,
              d.last, TensorView<float>(d.out.data(), {rows, width}, "out"));
    benchmark::DoNotOptimize(d.out.data());
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  double pairs = 0;
  for (const std::int32_t last : d.last) pairs += double(last);
  const double rate = double(state.iterations()) / elapsed.count();
  const double flops = 4 * pairs * double(width) * rate;
  const double bytes = 2.0 * double(p.sequences * p.keys) / double(kPageTokens) *
                       double(chiasm::kernels::page_bytes(p.kv_heads, p.head_dim, p.pages));
  state.counters["GFLOP/s"] = flops / 1e9;
  state.counters["%peak"] = flops / *peak * 100;
  state.counters["GB/s"] = bytes * rate / 1e9;
}

std::string title(const Problem& p, Isa isa, bool bf16_products) {
  return std::string(p.title) + "/" + std::string(name(isa)) + (bf16_products ? "-bf16" : "") +
         "/" + std::string(name(p.pages)) + "/" + std::to_string(p.sequences) + "x" +
         std::to_string(p.rows) + "x" + std::to_string(p.keys) + "/" + std::to_string(p.heads) +
         ":" + std::to_string(p.kv_heads) + "x" + std::to_string(p.head_dim);
}

}  // namespace

int main(int argc, char** argv) {
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::portable}) {
    if (!supported(isa)) continue;
    for (const bool bf16_products : {false, true}) {
      if (bf16_products && (isa != Isa::avx512 || !chiasm::has_avx512_bf16())) continue;
      for (const Problem& p : kProblems) {
        benchmark::RegisterBenchmark(title(p, isa, bf16_products).c_str(),
                                     [&p, isa, bf16_products](benchmark::State& state) {
                                       run(state, p, isa, bf16_products);
                                     })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
