#pragma once
/// The pointwise nonlinearities (kernels/activation_kind.h), on the device.
#include "core/device_calls.h"
#include "kernels/cuda/dev.h"

namespace chiasm::device {

__device__ inline float apply(Function f, float x) {
  constexpr float kRootHalf = 0.70710678118654752f, kRootTwoOverPi = 0.79788456080286536f;
  switch (f) {
    case Function::none:
      return x;
    case Function::relu:
      return fmaxf(x, 0.0f);
    case Function::silu:
      return x / (1.0f + expf(-x));
    case Function::gelu:
      return 0.5f * x * (1.0f + erff(x * kRootHalf));
    case Function::gelu_tanh:
      return 0.5f * x * (1.0f + tanhf(kRootTwoOverPi * (x + 0.044715f * x * x * x)));
    case Function::quick_gelu:
      return x / (1.0f + expf(-1.702f * x));
    case Function::tanh:
      return tanhf(x);
  }
  return x;
}

}  // namespace chiasm::device
