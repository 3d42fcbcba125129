// linear over the shapes of real models: GFLOP/s, GB/s of weights, and the share of the limits
// measured just before. CHIASM_BENCH_THREADS sets the threads (default: all).
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "kernels/matrix.h"

namespace {

using chiasm::Context;
using chiasm::Isa;
using chiasm::TensorView;
using chiasm::ThreadPool;
using chiasm::bench::Arithmetic;
using chiasm::kernels::Epilogue;
using chiasm::kernels::Matrix;
using chiasm::kernels::WeightFormat;

struct Problem {
  std::int64_t rows, in, out;
  WeightFormat format;
  Isa isa;
};

ThreadPool& pool() {
  const char* threads = std::getenv("CHIASM_BENCH_THREADS");
  static ThreadPool shared(threads != nullptr ? std::atoi(threads) : 0);
  return shared;
}

std::vector<float> random_floats(std::int64_t count) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = uniform(random);
  return values;
}

// Quantizing as many copies as `copies` makes would take minutes: random blocks are as good.
Matrix pack_random_blocks(const Context& ctx, const Problem& p) {
  using chiasm::BlockType;
  const BlockType type = p.format == WeightFormat::q8 ? BlockType::q8_0 : BlockType::q4_1;
  const std::size_t bytes = chiasm::block_bytes(type);
  std::vector<std::byte> blocks(static_cast<std::size_t>(p.out * p.in / 32) * bytes);
  std::mt19937 random(1);
  for (std::byte& b : blocks) b = std::byte(random());
  for (std::size_t i = 0; i < blocks.size(); i += bytes) {
    blocks[i + 1] = blocks[i + 3] = std::byte(0x1c);  // scale and minimum of about 0.005
  }
  const chiasm::kernels::BlockRows part{blocks.data(), type, p.out};
  return Matrix::pack_blocks(ctx, {&part, 1}, p.in);
}

Matrix pack(const Context& ctx, const Problem& p) {
  if (p.format == WeightFormat::q8 || p.format == WeightFormat::q4) {
    return pack_random_blocks(ctx, p);
  }
  const auto values = random_floats(p.out * p.in);
  const chiasm::kernels::WeightRows part{reinterpret_cast<const std::byte*>(values.data()),
                                         chiasm::DType::f32, p.out};
  return Matrix::pack(ctx, {&part, 1}, p.in, p.format);
}

// Few rows stream weights from memory in real use: enough copies that no cache holds them all.
std::deque<Matrix> copies(const Context& ctx, const Problem& p) {
  std::deque<Matrix> all;
  std::size_t bytes = 0;
  do {
    all.push_back(pack(ctx, p));
    bytes += all.back().bytes();
  } while (p.rows < 64 && bytes < std::size_t(128) << 20);
  return all;
}

Arithmetic arithmetic(WeightFormat format) {
  if (format == WeightFormat::q8 || format == WeightFormat::q8_rows || format == WeightFormat::q4) {
    return Arithmetic::int8;
  }
  return format == WeightFormat::bf16 ? Arithmetic::bf16 : Arithmetic::fp32;
}

void run(benchmark::State& state, const Problem& p) {
  Context ctx;
  ctx.pool = &pool();
  ctx.isa = p.isa;
  const auto weights = copies(ctx, p);
  const auto x = random_floats(p.rows * p.in);
  std::vector<float> y(static_cast<std::size_t>(p.rows * p.out));
  const TensorView<const float> xv(x.data(), {p.rows, p.in}, "x");
  const TensorView<float> yv(y.data(), {p.rows, p.out}, "y");
  auto peak = chiasm::bench::peak_rate(*ctx.pool, p.isa, arithmetic(p.format));
  if (!peak) peak = chiasm::bench::peak_rate(*ctx.pool, p.isa, Arithmetic::fp32);
  std::size_t next = 0;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    linear(ctx, xv, weights[next], Epilogue{}, yv);
    benchmark::DoNotOptimize(y.data());
    next = (next + 1) % weights.size();
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const double rate = double(state.iterations()) / elapsed.count();
  const double flops = 2.0 * double(p.rows) * double(p.in) * double(p.out) * rate;
  state.counters["GFLOP/s"] = flops / 1e9;
  state.counters["%peak"] = flops / *peak * 100;
  state.counters["GB/s"] = double(weights[0].bytes()) * rate / 1e9;
}

void add(const Problem& p) {
  const std::string title = std::string("linear/") + std::string(name(p.isa)) + "/" +
                            std::string(format_name(p.format)) + "/" + std::to_string(p.rows) +
                            "x" + std::to_string(p.in) + "x" + std::to_string(p.out);
  benchmark::RegisterBenchmark(title.c_str(), [p](benchmark::State& state) { run(state, p); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

// Rows x inputs x outputs.
int main(int argc, char** argv) {
  constexpr std::int64_t kMany[][3] = {{1024, 768, 3072}, {1024, 3072, 768}, {1024, 768, 2304},
                                       {1024, 768, 768},  {1088, 576, 1536}, {1088, 1536, 576},
                                       {64, 576, 3072},   {577, 1024, 4096}};
  constexpr std::int64_t kFew[][3] = {{1, 576, 49280}, {1, 576, 3072}, {1, 1536, 576},
                                      {1, 576, 960},   {4, 576, 3072}, {8, 576, 3072}};
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::portable}) {
    if (!supported(isa)) continue;
    for (const WeightFormat format : {WeightFormat::bf16, WeightFormat::f32, WeightFormat::f16,
                                      WeightFormat::q8, WeightFormat::q8_rows, WeightFormat::q4}) {
      for (const auto& s : kMany) add({s[0], s[1], s[2], format, isa});
      for (const auto& s : kFew) add({s[0], s[1], s[2], format, isa});
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
