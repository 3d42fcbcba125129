// Matrix product by AVX-512 with float32 arithmetic.
#include "kernels/cpu/gemm_avx512_inl.h"

namespace chiasm::kernels::cpu {

namespace {

void pack_rows(const PackRows& p) {
  pack_units<1>(p, [](const float* x, std::int64_t left) {
    return _mm512_castps_si512(_mm512_maskz_loadu_ps(first_lanes(left), x));
  });
}

template <class W>
constexpr GemmKernel kKernel = {
    kRows, 1, 4, pack_rows, tile<W, false>, tile<W, true>, finish<VecAvx512>};

}  // namespace

const GemmKernel kGemmAvx512[3] = {kKernel<F32>, kKernel<Bf16Widened>, kKernel<F16>};

}  // namespace chiasm::kernels::cpu
