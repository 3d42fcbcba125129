#include "core/isa.h"

#include <array>
#include <cstdlib>

#include "core/error.h"

namespace chiasm {

namespace {
constexpr std::array kFastestFirst = {Isa::avx512, Isa::avx2, Isa::portable, Isa::reference};
}

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::reference:
      return "reference";
    case Isa::portable:
      return "portable";
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
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni") && supported(Isa::avx2);
  }
  return false;
#else
  return isa == Isa::reference || isa == Isa::portable;
#endif
}

bool has_avx512_bf16() {
#if defined(__x86_64__)
  return supported(Isa::avx512) && __builtin_cpu_supports("avx512bf16");
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
                      ": no such path; use avx512, avx2, portable or reference");
  }();
  return chosen;
}

}  // namespace chiasm
