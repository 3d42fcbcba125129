#pragma once
/// Loops that do nothing but multiply-add in registers, one for each instruction. Plain: files
/// compiled with instruction-set flags include this header.
#include <cstddef>
#include <cstdint>

namespace chiasm::bench {

/// Runs `rounds` rounds and returns the operations done (a multiply and an add are two).
using Peak = double (*)(std::int64_t rounds);

double peak_fp32_portable(std::int64_t rounds);
double peak_fp32_avx2(std::int64_t rounds);
double peak_fp32_avx512(std::int64_t rounds);
double peak_bf16_avx512(std::int64_t rounds);
double peak_int8_avx512(std::int64_t rounds);

/// Reads `bytes` (a multiple of 256) once and returns a value that depends on all of them.
using Read = std::uint64_t (*)(const std::byte* data, std::size_t bytes);
std::uint64_t read_portable(const std::byte* data, std::size_t bytes);
std::uint64_t read_avx2(const std::byte* data, std::size_t bytes);
/// With software prefetch 8 KiB ahead.
std::uint64_t read_avx512(const std::byte* data, std::size_t bytes);

}  // namespace chiasm::bench
