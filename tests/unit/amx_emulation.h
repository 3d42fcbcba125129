#pragma once
/// The AMX products over an emulation of the tile instructions, for CPUs with AVX-512 BF16.
#include "kernels/cpu/gemm.h"

namespace chiasm::testing {

extern const kernels::cpu::GemmKernel kEmulatedAmxBf16;
extern const kernels::cpu::GemmKernel kEmulatedAmxQ8Rows;
/// Since the start of the process: what the hardware would have refused, as words; or empty.
const char* emulated_amx_fault();

}  // namespace chiasm::testing
