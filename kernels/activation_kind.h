#pragma once
/// The names of the pointwise nonlinearities; plain, for files compiled with instruction-set flags.

namespace chiasm::kernels {

enum class Activation {
  none,
  relu,
  silu,        // x * sigmoid(x)
  gelu,        // x * Phi(x), by erf
  gelu_tanh,   // the tanh form: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  quick_gelu,  // x * sigmoid(1.702 x)
  tanh,
};

}  // namespace chiasm::kernels
