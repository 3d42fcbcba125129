#pragma once
/// The operators behind the table (core/device_calls.h says what each does). They throw Failure.
#include "core/device_calls.h"
#include "kernels/cuda/session.h"

namespace chiasm::device {

void norm(Session& session, const NormCall& call);
void turn(Session& session, const TurnCall& call);
void pointwise(Session& session, const PointwiseCall& call);
void rows(Session& session, const RowsCall& call);
void embed(Session& session, const EmbedCall& call);
void patches(Session& session, const PatchesCall& call);
void shuffle(Session& session, const ShuffleCall& call);
void picture(Session& session, const PictureCall& call);
void stretches(Session& session, const StretchesCall& call);
void mean(Session& session, const MeanCall& call);
void resize(Session& session, const ResizeCall& call);
void log_mel(Session& session, const LogMelCall& call);
void linear(Session& session, const LinearCall& call);
void qkv(Session& session, const QkvCall& call);
void attention(Session& session, const AttentionCall& call);
void sample(Session& session, const SampleCall& call);

/// The same for at most kFewRows rows, in one launch (gemv.cu); with `turn`, which may be null, all
/// of a QkvCall. A norm only where its rows fit in shared memory (norms_few_rows).
void multiply_few_rows(Session& session, const LinearCall& call, const TurnCall* turn);
bool norms_few_rows(const LinearCall& call);
inline constexpr std::int64_t kFewRows = 8;
/// Likewise over up to kSomeRows, for weights that are not bfloat16 themselves: they are narrowed
/// to it on their way to tensor cores (some_rows.cu). x: the call's rows narrowed already, [rows,
/// w.padded], in the order of the weight's inputs.
void multiply_some_rows(Session& session, const LinearCall& call, const std::uint16_t* x);
inline constexpr std::int64_t kSomeRows = 64;

/// y [rows, w.padded] bfloat16 = the normed rows of `call`, zeros behind each (norm.cu).
void norm_narrowed(Session& session, const LinearCall& call, std::uint16_t* y);

/// y [rows, cols] bfloat16 without gaps = x, rows `stride` numbers apart (attention_tiles.cu).
void narrow_rows(Session& session, const float* x, std::int64_t stride, std::int64_t rows,
                 std::int64_t cols, std::uint16_t* y);

/// y = f(x w^T (+ y with `accumulate`) + bias) over many rows of plain numbers: x [rows, in] and w
/// [out, in] both float32 or both bfloat16; bias may be null. Of the backend: cuBLASLt on the card,
/// which knows the functions that `product_applies` names.
struct Product {
  const void* x;
  std::int64_t x_stride;
  const void* w;
  std::int64_t w_stride;
  float* y;
  std::int64_t y_stride;
  std::int64_t rows, out, in;
  bool bf16, accumulate;
  const float* bias;
  Function function;
};
constexpr bool product_applies(Function f) {
  return f == Function::none || f == Function::relu || f == Function::gelu_tanh;
}
void multiply(Session& session, const Product& product);

/// Attention in bfloat16 on tensor cores, 64 rows a block (attention_tiles.cu); head sizes that are
/// multiples of 8. Contiguous keys and values are narrowed first, into scratch memory.
void attention_tiles(Session& session, const AttentionCall& call);
/// Attention in float32, each row's keys cut into parts of kPartKeys that blocks share
/// (attention_rows.cu); any head size, fastest for multiples of 4.
void attention_rows(Session& session, const AttentionCall& call);
/// Fixed, so that a row's arithmetic depends on its own sequence alone.
inline constexpr std::int64_t kPartKeys = 256;

}  // namespace chiasm::device
