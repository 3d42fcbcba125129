// Matrix product of bfloat16 weights and activations by VDPBF16PS. The instruction flushes
// subnormal numbers and has its own order of adding a pair: every path for this format uses it.
#include "kernels/cpu/gemm_avx512_inl.h"

namespace chiasm::kernels::cpu {

namespace {

struct Bf16Pairs {
  static constexpr int kInputs = 2, kSub = 1, kBytes = 64;
  using Raw = __m512i;
  static Raw load(const char* b) { return _mm512_loadu_si512(b); }
  template <int S>
  static __m512 fma(float a, Raw b, __m512 sum) {  // `a` is a pair in the bits of a float
    const __m512i pair = _mm512_castps_si512(_mm512_set1_ps(a));
    return _mm512_dpbf16_ps(sum, (__m512bh)pair, (__m512bh)b);
  }
};

// Narrows by rounding to nearest, ties to even.
void pack_rows(const PackRows& p) {
  pack_units<2>(p, [](const float* x, std::int64_t left) {
    const __m512 low = _mm512_maskz_loadu_ps(first_lanes(left), x);
    const __m512 high = _mm512_maskz_loadu_ps(first_lanes(left - 16), x + 16);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
  });
}

}  // namespace

const GemmKernel kGemmAvx512Bf16 = {
    kRows, 1, 2, pack_rows, tile<Bf16Pairs, false>, tile<Bf16Pairs, true>, finish<VecAvx512>};

}  // namespace chiasm::kernels::cpu
