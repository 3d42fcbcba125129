#include "kernels/cpu/choose.h"

#include "core/error.h"

namespace chiasm::kernels::cpu {

const CpuOps& ops_for(Isa isa) {
  switch (isa) {
    case Isa::reference:
      break;
    case Isa::portable:
      return ops_portable();
    case Isa::neon:
      return ops_neon();
    case Isa::avx2:
      return ops_avx2();
    case Isa::avx512:
      return ops_avx512();
  }
  fail<DeviceError>("no CPU kernels for the path ", name(isa));
}

}  // namespace chiasm::kernels::cpu
