// Products of any number of rows: few ones read the weights once (gemv.cu); many go through the
// backend's matrix product, activations narrowed and quantized weights widened to bfloat16 first.
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

/// y [rows, padded] bfloat16 = x [rows, in], zeros behind.
__global__ void narrow_rows(const float* x, std::int64_t stride, std::int64_t in, std::uint16_t* y,
                            std::int64_t padded) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i < padded) y[row * padded + i] = i < in ? dev::to_bf16(x[row * stride + i]) : 0;
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

}  // namespace

void linear(Session& session, const LinearCall& call) {
  if (call.rows == 0 || call.w.out == 0) return;
  if (call.accumulate && call.function != Function::none) {
    throw Failure(Status::unsupported, "a product with a nonlinearity that joins another sum");
  }
  if (call.rows <= kFewRows) return multiply_few_rows(session, call);
  const MatrixRef& w = call.w;
  Product product{call.x,    call.x_stride, w.data, w.padded, call.y,         call.y_stride,
                  call.rows, w.out,         w.in,   false,    call.accumulate};
  if (w.format != Format::f32) {
    // Zeros behind the inputs multiply zeros: the product may run over the padding.
    const std::uint64_t narrow = aligned(std::uint64_t(call.rows * w.padded) * 2);
    const bool widen = w.format != Format::bf16;
    const std::uint64_t wide = widen ? std::uint64_t(w.out * w.padded) * 2 : 0;
    auto* const x = static_cast<std::uint16_t*>(session.scratch(narrow + wide));
    dev::launch(session, narrow_rows, dev::Grid(unsigned(call.rows), pieces(w.padded)), kThreads, 0,
                call.x, call.x_stride, w.in, x, w.padded);
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
