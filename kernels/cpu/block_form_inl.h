#pragma once
/// Reading the bytes of block_form.h. Products are rounded one by one, as the formula is written.
#include <cstdint>
#include <cstring>

#include "kernels/cpu/block_form.h"

namespace chiasm::kernels::cpu {
namespace {

/// q of one lane and input of a step.
template <int kBits>
inline __attribute__((always_inline)) int bits_at(const std::uint8_t* __restrict step, int input,
                                                  int lane) {
  int q = 0, place = 0;
  if constexpr ((kBits & 4) != 0) {
    q = step[input % 16 * kFormLanes + lane] >> input / 16 * 4 & 15;
    step += 16 * kFormLanes;
    place = 4;
  }
  if constexpr ((kBits & 2) != 0) {
    q |= (step[input % 8 * kFormLanes + lane] >> input / 8 * 2 & 3) << place;
    step += 8 * kFormLanes;
    place += 2;
  }
  if constexpr ((kBits & 1) != 0) {
    q |= (step[input % 4 * kFormLanes + lane] >> input / 4 & 1) << place;
  }
  return q;
}

/// Scales and minima of one group of a unit, for the lanes [begin, end).
template <BlockForm kForm>
inline __attribute__((always_inline)) void group_factors(const std::uint8_t* unit, int group,
                                                         int begin, int end,
                                                         float* __restrict scale,
                                                         float* __restrict minimum) {
  constexpr BlockTraits t = traits_of(kForm);
  constexpr BlockLayout l = layout_of(t);
  float factors[2][kFormLanes] = {};
  std::memcpy(factors[0], unit, sizeof factors[0]);
  if constexpr (t.minima) std::memcpy(factors[1], unit + l.minima, sizeof factors[1]);
  const std::uint8_t* const scales = unit + l.group_scales + group * kFormLanes;
  const std::uint8_t* const minima = unit + l.group_minima + group * kFormLanes;
  for (int lane = begin; lane < end; lane++) {
    float s = 1, n = 1;
    if constexpr (t.scales == GroupScales::nibbles) {
      s = float(minima[lane] & 15);
      n = float(minima[lane] >> 4);
    } else if constexpr (t.scales == GroupScales::bytes) {
      s = float(static_cast<std::int8_t>(scales[lane]));
      n = t.minima ? float(minima[lane]) : 0.0f;
    }
    scale[lane] = factors[0][lane] * s;
    minimum[lane] = factors[1][lane] * n;
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
