// For processors other than x86-64, where the compiler has neither AVX2 nor AVX-512.
#include "core/error.h"
#include "kernels/cpu/ops.h"

namespace chiasm::kernels::cpu {

const CpuOps& ops_avx2() { fail<DeviceError>("AVX2 is not part of this build"); }
const CpuOps& ops_avx512() { fail<DeviceError>("AVX-512 is not part of this build"); }

}  // namespace chiasm::kernels::cpu
