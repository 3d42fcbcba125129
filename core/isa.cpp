#include "core/isa.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <array>
#include <cstdlib>

#include "core/error.h"

namespace chiasm {

namespace {
constexpr std::array kFastestFirst = {Isa::avx512, Isa::avx2, Isa::neon, Isa::portable,
                                      Isa::reference};
}

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::reference:
      return "reference";
    case Isa::portable:
      return "portable";
    case Isa::neon:
      return "neon";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "unknown";
}

bool supported([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::reference:
    case Isa::portable:
      return true;
    case Isa::neon:
      return false;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni") && supported(Isa::avx2);
  }
  return false;
#elif defined(__aarch64__)
  return isa == Isa::reference || isa == Isa::portable || isa == Isa::neon;
#else
  return isa == Isa::reference || isa == Isa::portable;
#endif
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::portable, Isa::neon, Isa::avx2, Isa::avx512}) {
    if (supported(isa)) isas.push_back(isa);
  }
  return isas;
}

bool has_avx512_bf16() {
#if defined(__x86_64__)
  return supported(Isa::avx512) && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

bool has_amx() {
#if defined(__x86_64__) && defined(__linux__)
  static const bool has = [] {
    // Leaf 7, EDX: AMX-BF16, AMX-TILE, AMX-INT8.
    constexpr unsigned kNeeded = (1u << 22) | (1u << 24) | (1u << 25);
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kNeeded) != kNeeded) return false;
    // Linux saves tiles for processes that asked for it: ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA.
    constexpr long kRequest = 0x1023, kTileData = 18;
    return has_avx512_bf16() && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  }();
  return has;
#else
  return false;
#endif
}

bool use_amx() {
  static const bool chosen = [] {
    const char* asked = std::getenv("CHIASM_AMX");
    if (asked == nullptr || std::string_view(asked) == "0") return false;
    if (std::string_view(asked) != "1") fail<DeviceError>("CHIASM_AMX=", asked, ": use 0 or 1");
    if (!has_amx()) fail<DeviceError>("CHIASM_AMX=1: this CPU lacks it, or the system forbids it");
    return true;
  }();
  return chosen;
}

bool has_neon_dot() {
#if defined(__aarch64__) && defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}

Isa best_isa() {
  static const Isa chosen = [] {
    const char* forced = std::getenv("CHIASM_FORCE_CPU");
    for (const Isa isa : kFastestFirst) {
      if (forced == nullptr ? !supported(isa) : std::string_view(forced) != name(isa)) continue;
      if (!supported(isa)) fail<DeviceError>("CHIASM_FORCE_CPU=", forced, ": this CPU lacks it");
      return isa;
    }
    fail<DeviceError>("CHIASM_FORCE_CPU=", forced,
                      ": no such path; use avx512, avx2, neon, portable or reference");
  }();
  return chosen;
}

}  // namespace chiasm
