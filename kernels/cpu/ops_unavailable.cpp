// The paths of other processors, which this build's compiler cannot make.
#include "core/error.h"
#include "kernels/cpu/ops.h"

namespace chiasm::kernels::cpu {

#if !defined(__x86_64__)
const CpuOps& ops_avx2() { fail<DeviceError>("AVX2 is not part of this build"); }
const CpuOps& ops_avx512() { fail<DeviceError>("AVX-512 is not part of this build"); }
#endif
#if !defined(__aarch64__)
const CpuOps& ops_neon() { fail<DeviceError>("NEON is not part of this build"); }
#endif

}  // namespace chiasm::kernels::cpu
