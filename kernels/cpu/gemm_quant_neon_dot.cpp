// Quantized products by the dot product instructions of ARMv8.2.
#include "kernels/cpu/gemm_q8_rows_neon_inl.h"

namespace chiasm::kernels::cpu {

namespace {

struct FourProducts {
  static int32x4_t add(int32x4_t sum, int8x16_t w, int8x16_t x) { return vdotq_s32(sum, w, x); }
};

}  // namespace

const GemmKernel kGemmQuantNeonDot[2] = {kKernel<Q8, FourProducts>, kKernel<Q4, FourProducts>};
const GemmKernel kGemmQ8RowsNeonDot = kWideKernel<FourProducts>;

}  // namespace chiasm::kernels::cpu
