// Quantized products on ARM processors without the dot product instructions.
#include "kernels/cpu/gemm_q8_rows_neon_inl.h"

namespace chiasm::kernels::cpu {

namespace {

// Two products fit 16 bits: at most 2 * 128 * 127.
struct WideningDot {
  static int32x4_t add(int32x4_t sum, int8x16_t w, int8x16_t x) {
    const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
    return vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(w, x)));
  }
};

}  // namespace

const GemmKernel kGemmQuantNeon[2] = {kKernel<Q8, WideningDot>, kKernel<Q4, WideningDot>};
const GemmKernel kGemmQ8RowsNeon = kWideKernel<WideningDot>;

}  // namespace chiasm::kernels::cpu
