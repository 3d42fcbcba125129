#include "kernels/cpu/attention_inl.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/rows_inl.h"
#include "kernels/cpu/simd_portable.h"
#include "kernels/cpu/vocabulary_inl.h"
#include "kernels/cpu/widen_blocks_inl.h"

namespace chiasm::kernels::cpu {

namespace {
using V = VecPortable;
constexpr CpuOps kOps = {
    activate_all<V>,
    gated_activation_all<V>,
    layer_norm_rows<V>,
    rms_norm_rows<V>,
    rotate_half_pairs<V>,
    attention_tile<V>,
    nullptr,
    nullptr,
    nullptr,
    join_attention_tile<V>,
    argmax_all<V>,
    exp_over<V>,
    widen_blocks,
};
}  // namespace

const CpuOps& ops_portable() { return kOps; }

}  // namespace chiasm::kernels::cpu
