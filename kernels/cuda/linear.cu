// Products of any number of rows: few ones, and some with quantized weights, read the weights once
// (gemv.cu, some_rows.cu); many go through the backend's matrix product, activations narrowed and
// quantized weights widened to bfloat16 first.
#include <algorithm>

#include "kernels/cuda/functions.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/pieces.h"
#include "kernels/cuda/weights.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 256;

/// y [rows, w.padded] bfloat16 = x [rows, w.in] in the order of the weight's inputs, zeros behind.
__global__ void narrow_rows(const float* x, std::int64_t stride, MatrixRef w, std::uint16_t* y) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i >= w.padded) return;
  const std::int64_t from = w.order != nullptr && i < w.in ? w.order[i] : i;
  y[row * w.padded + i] = i < w.in ? dev::to_bf16(x[row * stride + from]) : 0;
}

__global__ void order_rows(const float* x, std::int64_t stride, MatrixRef w, float* y) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i < w.in) y[row * w.in + i] = x[row * stride + w.order[i]];
}

template <Format format>
__global__ void widen_weights(MatrixRef w, std::uint16_t* y) {
  const std::int64_t o = blockIdx.x;
  const std::int64_t i = (std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * 8;
  if (i >= w.padded) return;
  float v[8];
  read8<format>(w, o, i, v);
  for (int j = 0; j < 8; j++) y[o * w.padded + i + j] = dev::to_bf16(v[j]);
}

__global__ void finish_rows(LinearCall c) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i >= c.w.out) return;
  float* y = c.y + row * c.y_stride + i;
  *y = apply(c.function, *y + (c.bias != nullptr ? c.bias[i] : 0.0f));
}

/// y [rows, out / 2] = f(gate) * up of products [rows, out].
__global__ void finish_gated(LinearCall c, const float* products) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  const std::int64_t half = c.w.out / 2;
  if (i >= half) return;
  const float* p = products + row * c.w.out;
  const auto biased = [&](std::int64_t o) { return p[o] + (c.bias != nullptr ? c.bias[o] : 0.0f); };
  c.y[row * c.y_stride + i] = apply(c.function, biased(i)) * biased(i + half);
}

unsigned pieces(std::int64_t count) { return unsigned((count + kThreads - 1) / kThreads); }

NormCall norm_of(const LinearCall& call, float* y) {
  const NormRef& n = call.norm;
  return {call.x, call.x_stride, y,     call.w.in, n.weight, n.bias, call.rows,
          1,      call.w.in,     n.eps, n.centred};
}

/// The call on rows that are normed first.
LinearCall normed_first(Session& session, LinearCall call, float* rows) {
  norm(session, norm_of(call, rows));
  call.x = rows;
  call.x_stride = call.w.in;
  call.norm = {};
  return call;
}

/// Few rows: normed first where they do not fit in shared memory, and brought into the order of the
/// weight's inputs where it has one.
void multiply_few(Session& session, LinearCall call, const TurnCall* turn) {
  const MatrixRef& w = call.w;
  const std::uint64_t bytes = std::uint64_t(call.rows * w.in) * sizeof(float);
  const bool norms = call.norm.weight != nullptr && (w.order != nullptr || !norms_few_rows(call));
  Pieces scratch;
  const std::uint64_t normed_at = scratch.take(norms ? bytes : 0);
  const std::uint64_t ordered_at = scratch.take(w.order != nullptr ? bytes : 0);
  auto* const memory =
      scratch.bytes() > 0 ? static_cast<std::byte*>(session.scratch(scratch.bytes())) : nullptr;
  if (norms) call = normed_first(session, call, reinterpret_cast<float*>(memory + normed_at));
  if (w.order != nullptr) {
    auto* const x = reinterpret_cast<float*>(memory + ordered_at);
    dev::launch(session, order_rows, dev::Grid(unsigned(call.rows), pieces(w.in)), kThreads, 0,
                call.x, call.x_stride, w, x);
    call.x = x;
    call.x_stride = w.in;
  }
  multiply_few_rows(session, call, turn);
}

/// Rows through the backend's product, or, of some with weights that are not plain, through our
/// own.
void multiply_many(Session& session, LinearCall call) {
  const MatrixRef& w = call.w;
  const bool plain = w.format == Format::f32, widened = !plain && w.format != Format::bf16;
  const bool some = widened && call.rows <= kSomeRows, widen = widened && !some;
  // A norm leaves bfloat16 rows of itself, unless their inputs have an order.
  const bool normed = call.norm.weight != nullptr, norms = normed && (plain || w.order != nullptr);
  Pieces scratch;
  const std::uint64_t normed_at =
      scratch.take(norms ? std::uint64_t(call.rows * w.in) * sizeof(float) : 0);
  const std::uint64_t narrow_at = scratch.take(plain ? 0 : std::uint64_t(call.rows * w.padded) * 2);
  const std::uint64_t wide_at = scratch.take(widen ? std::uint64_t(w.out * w.padded) * 2 : 0);
  const std::uint64_t product_at =
      scratch.take(call.gated ? std::uint64_t(call.rows * w.out) * sizeof(float) : 0);
  auto* const memory =
      scratch.bytes() > 0 ? static_cast<std::byte*>(session.scratch(scratch.bytes())) : nullptr;
  auto* const narrow = reinterpret_cast<std::uint16_t*>(memory + narrow_at);
  auto* const wide = reinterpret_cast<std::uint16_t*>(memory + wide_at);

  if (norms) call = normed_first(session, call, reinterpret_cast<float*>(memory + normed_at));
  if (call.norm.weight != nullptr) {
    norm_narrowed(session, call, narrow);
  } else if (!plain) {
    dev::launch(session, narrow_rows, dev::Grid(unsigned(call.rows), pieces(w.padded)), kThreads, 0,
                call.x, call.x_stride, w, narrow);
  }
  if (widen) {
    with_format(w.format, [&]<Format format>() {
      dev::launch(session, widen_weights<format>,
                  dev::Grid(unsigned(w.out), pieces((w.padded + 7) / 8)), kThreads, 0, w, wide);
    });
  }
  LinearCall sums = call;  // what the product itself leaves
  if (call.gated) {
    sums.y = reinterpret_cast<float*>(memory + product_at);
    sums.y_stride = w.out;
    sums.bias = nullptr;
    sums.function = Function::none;
  }
  // What the library does not apply needs a pass of its own.
  const bool apart = !call.gated && !some && !product_applies(call.function);
  const auto finish = [&] {
    if (call.gated) {
      dev::launch(session, finish_gated, dev::Grid(unsigned(call.rows), pieces(w.out / 2)),
                  kThreads, 0, call, static_cast<const float*>(sums.y));
    } else if (apart) {
      dev::launch(session, finish_rows, dev::Grid(unsigned(call.rows), pieces(w.out)), kThreads, 0,
                  call);
    }
  };
  if (some) {
    multiply_some_rows(session, sums, narrow);
    return finish();
  }
  // Zeros behind the inputs multiply zeros: the product may run over the padding.
  Product product{call.x, call.x_stride, w.data, w.padded,        sums.y,  sums.y_stride, call.rows,
                  w.out,  w.in,          !plain, call.accumulate, nullptr, Function::none};
  if (!apart) {
    product.bias = sums.bias;
    product.function = sums.function;
  }
  if (!plain) {
    product.x = narrow;
    product.x_stride = product.in = w.padded;
  }
  if (widen) product.w = wide;
  multiply(session, product);
  finish();
}

/// `count` rows of a call from `first` on.
LinearCall rows_of(LinearCall call, std::int64_t first, std::int64_t count) {
  call.x += first * call.x_stride;
  call.y += first * call.y_stride;
  call.rows = count;
  return call;
}
TurnCall rows_of(TurnCall turn, std::int64_t first, std::int64_t count) {
  if (turn.q != nullptr) turn.q += first * turn.q_stride;
  if (turn.k != nullptr) turn.k += first * turn.k_stride;
  if (turn.v != nullptr) turn.v += first * turn.v_stride;
  if (turn.cosine != nullptr) turn.cosine += first * turn.half;
  if (turn.sine != nullptr) turn.sine += first * turn.half;
  if (turn.slot != nullptr) turn.slot += first;
  turn.rows = count;
  return turn;
}

void multiply_rows(Session& session, const LinearCall& call, const TurnCall* turn) {
  if (call.rows <= kFewRows) return multiply_few(session, call, turn);
  if (session.batch_invariant) {  // all rows as few of them are
    for (std::int64_t first = 0; first < call.rows; first += kFewRows) {
      const std::int64_t count = std::min(kFewRows, call.rows - first);
      const TurnCall part = turn != nullptr ? rows_of(*turn, first, count) : TurnCall{};
      multiply_few(session, rows_of(call, first, count), turn != nullptr ? &part : nullptr);
    }
    return;
  }
  multiply_many(session, call);
  if (turn != nullptr) device::turn(session, *turn);
}

}  // namespace

void linear(Session& session, const LinearCall& call) {
  if (call.rows == 0 || call.w.out == 0) return;
  if (call.accumulate && (call.function != Function::none || call.gated)) {
    throw Failure(Status::unsupported, "a product with a nonlinearity that joins another sum");
  }
  multiply_rows(session, call, nullptr);
}

void qkv(Session& session, const QkvCall& call) {
  if (call.product.rows == 0) return;
  const TurnCall& turn = call.turn;
  if (call.product.w.out != (turn.heads + 2 * turn.kv_heads) * turn.head_dim ||
      turn.head_dim % 2 != 0 || call.product.accumulate || call.product.gated) {
    throw Failure(Status::unsupported, "a product of q, k and v of another shape");
  }
  multiply_rows(session, call.product, &turn);
}

}  // namespace chiasm::device
