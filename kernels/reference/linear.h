#pragma once
/// The oracle of linear: the same product in double.
#include "kernels/matrix.h"

namespace chiasm::kernels::reference {

/// As kernels::linear with shapes already checked: sums, bias, activation and accumulation in
/// double, rounded to float32 once at the end.
void linear(TensorView<const float> x, const Matrix& w, const Epilogue& epilogue,
            TensorView<float> y);

}  // namespace chiasm::kernels::reference
