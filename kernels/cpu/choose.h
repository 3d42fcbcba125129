#pragma once
/// From the instruction set of a Context to its kernels.
#include "core/isa.h"
#include "kernels/cpu/ops.h"

namespace chiasm::kernels::cpu {

/// The kernels of `isa`. Isa::reference has none: callers go to kernels/reference before.
const CpuOps& ops_for(Isa isa);

/// Numbers that one piece of a threaded row-wise operation handles, so that small work stays on the
/// calling thread: 16,384 float32 take about 2 microseconds, what waking a worker costs.
inline constexpr std::int64_t kValuesPerPiece = 16384;

/// Rows of `cols` numbers in such a piece, at least 1.
constexpr std::int64_t rows_per_piece(std::int64_t cols) {
  return cols >= kValuesPerPiece ? 1 : kValuesPerPiece / (cols > 0 ? cols : 1);
}

}  // namespace chiasm::kernels::cpu
