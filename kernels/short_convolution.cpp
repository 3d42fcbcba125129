#include "kernels/short_convolution.h"

#include <algorithm>

#include "kernels/cpu/choose.h"
#include "kernels/on_device.h"

namespace chiasm::kernels {

namespace {

/// y[r, :] = bias + sum over taps of weight * p, then finish(r, y[r, :]). `p(r, c)` is of the rows
/// that are given, `history` of those before them.
template <class Product, class Finish>
void convolve(const Context& ctx, TensorView<const float> weight, const float* bias,
              TensorView<float> history, TensorView<float> y, const Product& p,
              const Finish& finish) {
  const std::int64_t rows = y.rows(), dim = y.cols(), past = weight.rows() - 1;
  weight.expect({past + 1, dim});
  history.expect({past, dim});
  on_device::refuse(ctx, "a short convolution");
  const auto add_tap = [&](std::int64_t r, const float* w, float* to) {
    if (r < 0) {
      const float* before = history.row(past + r);
      for (std::int64_t c = 0; c < dim; c++) to[c] += w[c] * before[c];
    } else {
      for (std::int64_t c = 0; c < dim; c++) to[c] += w[c] * p(r, c);
    }
  };
  const std::int64_t grain = cpu::rows_per_piece((past + 2) * dim);
  ctx.pool->parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; r++) {
      float* to = y.row(r);
      for (std::int64_t c = 0; c < dim; c++) to[c] = bias != nullptr ? bias[c] : 0.0f;
      for (std::int64_t j = 0; j <= past; j++) add_tap(r - past + j, weight.row(j), to);
      finish(r, to);
    }
  });
  for (std::int64_t j = 0; j < past; j++) {  // in this order a row is read before it is replaced
    const std::int64_t r = rows - past + j;
    float* to = history.row(j);
    if (r < 0) {
      std::copy_n(history.row(past + r), dim, to);
    } else {
      for (std::int64_t c = 0; c < dim; c++) to[c] = p(r, c);
    }
  }
}

}  // namespace

void gated_short_convolution(const Context& ctx, TensorView<const float> bgx,
                             TensorView<const float> weight, const float* bias,
                             TensorView<float> history, TensorView<float> y) {
  const Timed timed(ctx.profile, "short_convolution");
  in_context("gated_short_convolution", [&] {
    const std::int64_t dim = y.cols();
    bgx.expect({y.rows(), 3 * dim});
    const auto product = [&](std::int64_t r, std::int64_t c) {
      return bgx.row(r)[c] * bgx.row(r)[2 * dim + c];
    };
    convolve(ctx, weight, bias, history, y, product, [&](std::int64_t r, float* to) {
      const float* gate = bgx.row(r) + dim;
      for (std::int64_t c = 0; c < dim; c++) to[c] *= gate[c];
    });
  });
}

void short_convolution(const Context& ctx, TensorView<const float> x,
                       TensorView<const float> weight, const float* bias, TensorView<float> history,
                       TensorView<float> y) {
  const Timed timed(ctx.profile, "short_convolution");
  in_context("short_convolution", [&] {
    x.expect(y.shape());
    const auto product = [&](std::int64_t r, std::int64_t c) { return x.row(r)[c]; };
    convolve(ctx, weight, bias, history, y, product, [](std::int64_t, float*) {});
  });
}

}  // namespace chiasm::kernels
