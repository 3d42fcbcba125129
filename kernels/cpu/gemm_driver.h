#pragma once
/// Blocking and threading of the matrix product, the same for every instruction set.
#include "kernels/cpu/gemm.h"
#include "kernels/matrix.h"

namespace chiasm::kernels::cpu {

/// y = epilogue(x W^T) with shapes already checked.
void gemm(const Context& ctx, const GemmKernel& kernel, const Matrix::Packed& w,
          TensorView<const float> x, const Epilogue& epilogue, TensorView<float> y);

}  // namespace chiasm::kernels::cpu
