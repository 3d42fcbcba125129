#include <immintrin.h>

#include "bench/peaks.h"

namespace chiasm::bench {

namespace {
constexpr int kChains = 24;
}

double peak_fp32_avx512(std::int64_t rounds) {
  __m512 sum[kChains];
#pragma GCC unroll 24
  for (int c = 0; c < kChains; c++) sum[c] = _mm512_set1_ps(float(c));
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (std::int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; c++) {
      sum[c] = _mm512_fmadd_ps(a, sum[c], b);
      asm volatile("" : "+v"(sum[c]));  // kept in its register, not optimised away
    }
  }
  return double(rounds) * kChains * 16 * 2;
}

double peak_bf16_avx512(std::int64_t rounds) {
  __m512 sum[kChains];
#pragma GCC unroll 24
  for (int c = 0; c < kChains; c++) sum[c] = _mm512_set1_ps(float(c));
  const __m512i a = _mm512_set1_epi32(0x3f803f80), b = _mm512_set1_epi32(0x30003000);
  for (std::int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; c++) {
      sum[c] = _mm512_dpbf16_ps(sum[c], (__m512bh)a, (__m512bh)b);
      asm volatile("" : "+v"(sum[c]));
    }
  }
  return double(rounds) * kChains * 32 * 2;
}

double peak_int8_avx512(std::int64_t rounds) {
  __m512i sum[kChains];
#pragma GCC unroll 24
  for (int c = 0; c < kChains; c++) sum[c] = _mm512_set1_epi32(c);
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2);
  for (std::int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; c++) {
      sum[c] = _mm512_dpbusd_epi32(sum[c], a, b);
      asm volatile("" : "+v"(sum[c]));
    }
  }
  return double(rounds) * kChains * 64 * 2;
}

std::uint64_t read_avx512(const std::byte* data, std::size_t bytes) {
  __m512i sum[4] = {};
  for (std::size_t i = 0; i + 256 <= bytes; i += 256) {
    const std::byte* p = data + i;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      _mm_prefetch(reinterpret_cast<const char*>(p + 8192 + 64 * j), _MM_HINT_T0);
      sum[j] = _mm512_xor_si512(sum[j], _mm512_loadu_si512(p + 64 * j));
    }
  }
  alignas(64) std::uint64_t lanes[8];
  _mm512_store_si512(
      lanes, _mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3])));
  std::uint64_t total = 0;
  for (int j = 0; j < 8; j++) total ^= lanes[j];
  return total;
}

}  // namespace chiasm::bench
