#pragma once
/// From a block form to float32. Compiled per instruction set: the loops over 16 lanes become
/// vectors.
#include "kernels/cpu/block_form_inl.h"

namespace chiasm::kernels::cpu {
namespace {

/// One step of a unit: out[i * width + lane] for its 32 inputs.
template <BlockForm kForm>
inline void widen_step(const std::uint8_t* unit, int step, int width, float* __restrict out) {
  constexpr BlockTraits t = traits_of(kForm);
  constexpr BlockLayout l = layout_of(t);
  const std::uint8_t* const bits = unit + l.steps + step * l.step_bytes;
  constexpr int kTogether = t.group < kFormStep ? t.group : kFormStep;
  for (int first = 0; first < kFormStep; first += kTogether) {
    float scale[kFormLanes], minimum[kFormLanes];
    group_factors<kForm>(unit, (step * kFormStep + first) / t.group, 0, kFormLanes, scale, minimum);
    for (int i = first; i < first + kTogether; i++) {
      for (int lane = 0; lane < kFormLanes; lane++) {
        const float q = float(bits_at<t.bits>(bits, i, lane) - t.offset);
        out[i * width + lane] = t.minima ? scale[lane] * q - minimum[lane] : scale[lane] * q;
      }
    }
  }
}

template <BlockForm kForm>
void widen_form(const WidenBlocks& a) {
  constexpr BlockTraits t = traits_of(kForm);
  constexpr int kBytes = layout_of(t).bytes;
  const int vectors = a.width / kFormLanes;
  for (std::int64_t k = a.begin; k < a.end; k += kFormStep) {
    const auto* const block =
        static_cast<const std::uint8_t*>(a.panel) + k / t.inputs * vectors * kBytes;
    float* const out = a.out + (k - a.begin) * a.width;
    for (int v = 0; v < vectors; v++) {
      widen_step<kForm>(block + v * kBytes, int(k % t.inputs) / kFormStep, a.width,
                        out + v * kFormLanes);
    }
  }
}

void widen_blocks(BlockForm form, const WidenBlocks& a) {
  switch (form) {
    case BlockForm::q5_1:
      return widen_form<BlockForm::q5_1>(a);
    case BlockForm::q2_k:
      return widen_form<BlockForm::q2_k>(a);
    case BlockForm::q3_k:
      return widen_form<BlockForm::q3_k>(a);
    case BlockForm::q4_k:
      return widen_form<BlockForm::q4_k>(a);
    case BlockForm::q5_k:
      return widen_form<BlockForm::q5_k>(a);
    case BlockForm::q6_k:
      return widen_form<BlockForm::q6_k>(a);
    case BlockForm::q4_32:
      return widen_form<BlockForm::q4_32>(a);
    case BlockForm::q4_128:
      return widen_form<BlockForm::q4_128>(a);
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
