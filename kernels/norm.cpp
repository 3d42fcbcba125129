#include "kernels/norm.h"

#include "kernels/cpu/choose.h"
#include "kernels/on_device.h"
#include "kernels/reference/rows.h"

namespace chiasm::kernels {

namespace {

void check_rows(TensorView<const float> x, TensorView<float> y) {
  if (x.shape().rank() != 2) fail<ShapeError>("x: shape ", x.shape(), ", expected [rows, dim]");
  y.expect(x.shape());
}

using NormRows = void (*)(const cpu::NormArgs&, std::int64_t, std::int64_t);

void run(const Context& ctx, NormRows kernel, const cpu::NormArgs& args, std::int64_t rows) {
  ctx.pool->parallel_for(rows, cpu::rows_per_piece(args.dim),
                         [&](std::int64_t begin, std::int64_t end) { kernel(args, begin, end); });
}

}  // namespace

void layer_norm(const Context& ctx, TensorView<const float> x, TensorView<const float> weight,
                TensorView<const float> bias, float eps, TensorView<float> y) {
  const Timed timed(ctx.profile, "layer_norm");
  in_context("layer_norm", [&] {
    check_rows(x, y);
    weight.expect({x.cols()});
    bias.expect({x.cols()});
    if (ctx.device != nullptr) return on_device::norm(*ctx.device, x, 1, weight, bias, eps, y);
    if (ctx.isa == Isa::reference) return reference::layer_norm(x, weight, bias, eps, y);
    run(ctx, cpu::ops_for(ctx.isa).layer_norm,
        {x.data(), x.row_stride(), y.data(), y.row_stride(), weight.data(), bias.data(), x.cols(),
         eps},
        x.rows());
  });
}

void rms_norm(const Context& ctx, TensorView<const float> x, TensorView<const float> weight,
              float eps, TensorView<float> y) {
  const Timed timed(ctx.profile, "rms_norm");
  in_context("rms_norm", [&] {
    check_rows(x, y);
    weight.expect({x.cols()});
    if (ctx.device != nullptr) return on_device::norm(*ctx.device, x, 1, weight, {}, eps, y);
    if (ctx.isa == Isa::reference) return reference::rms_norm(x, weight, eps, y);
    run(ctx, cpu::ops_for(ctx.isa).rms_norm,
        {x.data(), x.row_stride(), y.data(), y.row_stride(), weight.data(), nullptr, x.cols(), eps},
        x.rows());
  });
}

void rms_norm_heads(const Context& ctx, TensorView<float> x, std::int64_t heads,
                    TensorView<const float> weight, float eps) {
  const Timed timed(ctx.profile, "rms_norm_heads");
  in_context("rms_norm_heads", [&] {
    const std::int64_t dim = weight.cols();
    x.expect({x.rows(), heads * dim});
    if (ctx.device != nullptr) return on_device::norm(*ctx.device, x, heads, weight, {}, eps, x);
    const auto head_rows = [&](std::int64_t r) {
      return TensorView<float>(x.row(r), {heads, dim}, x.name());
    };
    if (ctx.isa == Isa::reference) {
      for (std::int64_t r = 0; r < x.rows(); r++) {
        reference::rms_norm(head_rows(r), weight, eps, head_rows(r));
      }
      return;
    }
    const NormRows kernel = cpu::ops_for(ctx.isa).rms_norm;
    const std::int64_t grain = cpu::rows_per_piece(x.cols());
    ctx.pool->parallel_for(x.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; r++) {
        kernel({x.row(r), dim, x.row(r), dim, weight.data(), nullptr, dim, eps}, 0, heads);
      }
    });
  });
}

}  // namespace chiasm::kernels
