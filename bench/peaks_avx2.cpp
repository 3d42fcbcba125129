#include <immintrin.h>

#include "bench/peaks.h"

namespace chiasm::bench {

namespace {
constexpr int kChains = 12;
}

double peak_fp32_avx2(std::int64_t rounds) {
  __m256 sum[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; c++) sum[c] = _mm256_set1_ps(float(c));
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (std::int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; c++) {
      sum[c] = _mm256_fmadd_ps(a, sum[c], b);
      asm volatile("" : "+x"(sum[c]));  // kept in its register, not optimised away
    }
  }
  return double(rounds) * kChains * 8 * 2;
}

std::uint64_t read_avx2(const std::byte* data, std::size_t bytes) {
  __m256i sum[4] = {};
  for (std::size_t i = 0; i + 128 <= bytes; i += 128) {
    const auto* p = reinterpret_cast<const __m256i*>(data + i);
    _mm_prefetch(reinterpret_cast<const char*>(data + i + 8192), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(data + i + 8192 + 64), _MM_HINT_T0);
    for (int j = 0; j < 4; j++) sum[j] = _mm256_xor_si256(sum[j], _mm256_loadu_si256(p + j));
  }
  alignas(32) std::uint64_t lanes[4];
  _mm256_store_si256(
      reinterpret_cast<__m256i*>(lanes),
      _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3])));
  return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}

}  // namespace chiasm::bench
