#include "kernels/rope.h"

#include <algorithm>
#include <cmath>

#include "core/staged.h"
#include "kernels/cpu/choose.h"
#include "kernels/on_device.h"
#include "kernels/reference/rows.h"

namespace chiasm::kernels {

void rotate_half(const Context& ctx, TensorView<float> x, std::int64_t heads, std::int64_t head_dim,
                 TensorView<const float> cosine, TensorView<const float> sine) {
  const Timed timed(ctx.profile, "rotate_half");
  in_context("rotate_half", [&] {
    const std::int64_t rows = cosine.rows(), half = cosine.cols();
    x.expect({rows, heads * head_dim});
    sine.expect(cosine.shape());
    if (cosine.shape().rank() != 2 || 2 * half > head_dim) {
      fail<ShapeError>(cosine.name(), ": shape ", cosine.shape(),
                       ", expected [rows, half] with 2 * half <= head size ", head_dim);
    }
    if (ctx.device != nullptr) {
      return on_device::rotate_half(*ctx.device, x, heads, head_dim, cosine, sine);
    }
    if (ctx.isa == Isa::reference) return reference::rotate_half(x, heads, head_dim, cosine, sine);
    const cpu::CpuOps& ops = cpu::ops_for(ctx.isa);
    const std::int64_t grain = cpu::rows_per_piece(x.cols());
    ctx.pool->parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; r++) {
        for (std::int64_t h = 0; h < heads; h++) {
          ops.rotate_half(x.row(r) + h * head_dim, cosine.row(r), sine.row(r), half);
        }
      }
    });
  });
}

void rotary_table(const Context& ctx, std::span<const std::int32_t> position,
                  std::span<const float> inv_freq, std::span<const std::uint8_t> axis,
                  float attention_scaling, TensorView<float> cosine, TensorView<float> sine) {
  const Timed timed(ctx.profile, "rotary_table");
  in_context("rotary_table", [&] {
    const std::int64_t rows = cosine.rows();
    const auto half = std::int64_t(inv_freq.size());
    cosine.expect({rows, half});
    sine.expect({rows, half});
    std::int64_t axes = 1;
    for (const std::uint8_t a : axis) axes = std::max(axes, std::int64_t(a) + 1);
    if (std::int64_t(position.size()) != axes * rows ||
        (!axis.empty() && std::int64_t(axis.size()) != half)) {
      fail<ShapeError>(position.size(), " positions on ", axes, " axes of ", rows, " rows, and ",
                       axis.size(), " axes of ", half, " pairs");
    }
    if (ctx.device != nullptr) {  // few numbers, and as exact as the CPU's
      const std::size_t count = std::size_t(rows * half);
      std::vector<float> c(count), s(count);
      Context host = ctx;
      host.device = nullptr;
      const TensorView<float> on_host[] = {{c.data(), cosine.shape()}, {s.data(), sine.shape()}};
      rotary_table(host, position, inv_freq, axis, attention_scaling, on_host[0], on_host[1]);
      upload(*ctx.device, on_host[0], cosine);
      return upload(*ctx.device, on_host[1], sine);
    }
    // A sine takes some 20 ns, a hundred times a plain operation.
    const std::int64_t grain = cpu::rows_per_piece(100 * half);
    ctx.pool->parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; r++) {
        for (std::int64_t i = 0; i < half; i++) {
          const std::int64_t a = axis.empty() ? 0 : axis[std::size_t(i)];
          const float angle = float(position[std::size_t(a * rows + r)]) * inv_freq[std::size_t(i)];
          cosine.row(r)[i] = float(std::cos(double(angle))) * attention_scaling;
          sine.row(r)[i] = float(std::sin(double(angle))) * attention_scaling;
        }
      }
    });
  });
}

}  // namespace chiasm::kernels
