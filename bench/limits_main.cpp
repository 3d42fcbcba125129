// Prints what this machine can do at most: bench_limits [threads]. Memory bandwidth may differ from
// process to process (on some virtual machines it has two modes): run it at least five times.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/limits.h"

namespace {

using chiasm::Isa;
using chiasm::ThreadPool;
using chiasm::bench::Arithmetic;
using chiasm::bench::peak_rate;
using chiasm::bench::ReadBandwidth;

void print_column(const char* what, const char* unit, double one, double all) {
  std::printf("%-36s %8.1f %8.1f  %s\n", what, one / 1e9, all / 1e9, unit);
}

void print_peaks(ThreadPool& one, ThreadPool& all) {
  constexpr struct {
    Isa isa;
    Arithmetic arithmetic;
    const char* what;
  } kRows[] = {{Isa::avx512, Arithmetic::fp32, "fp32 multiply-add, AVX-512"},
               {Isa::avx512, Arithmetic::bf16, "bf16 VDPBF16PS"},
               {Isa::avx512, Arithmetic::int8, "int8 VPDPBUSD"},
               {Isa::avx2, Arithmetic::fp32, "fp32 multiply-add, AVX2"},
               {Isa::portable, Arithmetic::fp32, "fp32 multiply and add, portable"}};
  for (const auto& row : kRows) {
    const auto single = peak_rate(one, row.isa, row.arithmetic);
    const auto many = peak_rate(all, row.isa, row.arithmetic);
    if (single && many) print_column(row.what, "GFLOP/s", *single, *many);
  }
}

void print_bandwidths(ThreadPool& one, ThreadPool& all, Isa isa) {
  constexpr struct {
    std::size_t kib;
    bool huge_pages;
    const char* what;
  } kRows[] = {{512, true, "read, 512 KiB a thread"},
               {8 << 10, true, "read, 8 MiB a thread"},
               {96 << 10, true, "read, 96 MiB a thread"},
               {512 << 10, true, "read, 512 MiB a thread"},
               {512 << 10, false, "read, 512 MiB a thread, small pages"}};
  for (const auto& row : kRows) {
    const ReadBandwidth memory(row.kib * 1024, all.threads(), row.huge_pages);
    print_column(row.what, "GB/s", memory.measure(one, isa), memory.measure(all, isa));
  }
}

}  // namespace

int main(int argc, char** argv) {
  ThreadPool one(1), all(argc > 1 ? std::atoi(argv[1]) : 0);
  const std::string heading = std::to_string(all.threads()) + " threads";
  std::printf("%-36s %8s %8s\n", "", "1 thread", heading.c_str());
  print_peaks(one, all);
  const Isa isa = chiasm::supported(Isa::avx512) ? Isa::avx512
                  : chiasm::supported(Isa::avx2) ? Isa::avx2
                                                 : Isa::portable;
  print_bandwidths(one, all, isa);
  return 0;
}
