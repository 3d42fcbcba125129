#pragma once
/// Which instruction set the CPU kernels use. Chosen once, fastest first.
#include <string_view>
#include <vector>

namespace chiasm {

/// `reference` computes in double and is the oracle of the tests, far too slow for use.
enum class Isa { reference, portable, neon, avx2, avx512 };

std::string_view name(Isa isa);
/// Whether this CPU (and operating system) runs `isa`. avx512 means F, BW, VL, DQ and VNNI.
bool supported(Isa isa);
/// The optimised paths that this CPU runs, slowest first: all but the reference.
std::vector<Isa> supported_isas();
/// Whether the CPU also has AVX-512 BF16.
bool has_avx512_bf16();
/// Whether the CPU has AMX tiles with products of bfloat16 and of 8 bits beside AVX-512 BF16, and
/// the operating system lets this process use them.
bool has_amx();
/// Whether products use AMX: only where CHIASM_AMX=1 asks for it, since it has not run on such a
/// CPU yet. Chosen once. Throws DeviceError where it is asked for and the CPU lacks it.
bool use_amx();
/// Whether the ARM CPU has dot products of 8-bit integers (ARMv8.2, FEAT_DotProd).
bool has_neon_dot();
/// The one in use: the best supported, or what CHIASM_FORCE_CPU names
/// (reference, portable, neon, avx2, avx512). Throws DeviceError for an unknown or unsupported
/// name.
Isa best_isa();

}  // namespace chiasm
