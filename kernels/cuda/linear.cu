// Products of any number of rows: few ones, and some with quantized weights, read the weights once
// (gemv.cu, some_rows.cu); many go through the backend's matrix product, activations narrowed and
// quantized weights widened to bfloat16 first.
#include "kernels/cuda/functions.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/weights.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 256;
constexpr std::uint64_t kAlignment = 256;

std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

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

unsigned pieces(std::int64_t count) { return unsigned((count + kThreads - 1) / kThreads); }

/// The call with its rows in the order of the weight's inputs.
LinearCall ordered(Session& session, const LinearCall& call) {
  if (call.w.order == nullptr) return call;
  auto* const x = static_cast<float*>(session.scratch(std::uint64_t(call.rows * call.w.in) * 4));
  dev::launch(session, order_rows, dev::Grid(unsigned(call.rows), pieces(call.w.in)), kThreads, 0,
              call.x, call.x_stride, call.w, x);
  LinearCall out = call;
  out.x = x;
  out.x_stride = call.w.in;
  return out;
}

}  // namespace

void linear(Session& session, const LinearCall& call) {
  if (call.rows == 0 || call.w.out == 0) return;
  if (call.accumulate && call.function != Function::none) {
    throw Failure(Status::unsupported, "a product with a nonlinearity that joins another sum");
  }
  if (call.rows <= kFewRows) return multiply_few_rows(session, ordered(session, call));
  const MatrixRef& w = call.w;
  Product product{call.x,    call.x_stride, w.data, w.padded, call.y,         call.y_stride,
                  call.rows, w.out,         w.in,   false,    call.accumulate};
  if (w.format != Format::f32) {
    // Zeros behind the inputs multiply zeros: the product may run over the padding.
    const std::uint64_t narrow = aligned(std::uint64_t(call.rows * w.padded) * 2);
    const bool other = w.format != Format::bf16, some = other && call.rows <= kSomeRows;
    const bool widen = other && !some;
    const std::uint64_t wide = widen ? std::uint64_t(w.out * w.padded) * 2 : 0;
    auto* const x = static_cast<std::uint16_t*>(session.scratch(narrow + wide));
    dev::launch(session, narrow_rows, dev::Grid(unsigned(call.rows), pieces(w.padded)), kThreads, 0,
                call.x, call.x_stride, w, x);
    if (some) return multiply_some_rows(session, call, x);
    if (widen) {
      auto* const plain = x + narrow / 2;
      with_format(w.format, [&]<Format format>() {
        dev::launch(session, widen_weights<format>,
                    dev::Grid(unsigned(w.out), pieces((w.padded + 7) / 8)), kThreads, 0, w, plain);
      });
      product.w = plain;
    }
    product.x = x;
    product.x_stride = w.padded;
    product.in = w.padded;
    product.bf16 = true;
  }
  multiply(session, product);
  if (call.bias == nullptr && call.function == Function::none) return;
  dev::launch(session, finish_rows, dev::Grid(unsigned(call.rows), pieces(w.out)), kThreads, 0,
              call);
}

}  // namespace chiasm::device
