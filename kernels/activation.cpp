#include "kernels/activation.h"

#include <array>
#include <utility>

#include "kernels/cpu/choose.h"
#include "kernels/on_device.h"
#include "kernels/reference/rows.h"

namespace chiasm::kernels {

namespace {

// transformers' ACT2FN. Its tanh forms differ in how they write the same formula.
constexpr std::array<std::pair<std::string_view, Activation>, 11> kNames = {{
    {"linear", Activation::none},
    {"relu", Activation::relu},
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"gelu", Activation::gelu},
    {"gelu_python", Activation::gelu},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh},
    {"quick_gelu", Activation::quick_gelu},
    {"tanh", Activation::tanh},
}};

}  // namespace

Activation activation_from_name(std::string_view name) {
  std::string known;
  for (const auto& [known_name, act] : kNames) {
    if (name == known_name) return act;
    known.append(known.empty() ? "" : ", ").append(known_name);
  }
  fail<ModelError>("activation \"", name, "\" is not supported; known are ", known);
}

void activate(const Context& ctx, Activation act, TensorView<float> x) {
  if (ctx.device != nullptr) return on_device::activate(*ctx.device, act, x);
  if (ctx.isa == Isa::reference) return reference::activate(act, x);
  const cpu::CpuOps& ops = cpu::ops_for(ctx.isa);
  // A contiguous tensor is one long row: cuts need not fall between rows.
  const std::int64_t rows = x.contiguous() ? 1 : x.rows();
  const std::int64_t cols = x.contiguous() ? x.rows() * x.cols() : x.cols();
  if (rows == 1) {
    ctx.pool->parallel_for(cols, cpu::kValuesPerPiece, [&](std::int64_t begin, std::int64_t end) {
      ops.activate(act, x.data() + begin, end - begin);
    });
    return;
  }
  const std::int64_t grain = cpu::rows_per_piece(cols);
  ctx.pool->parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; r++) ops.activate(act, x.row(r), cols);
  });
}

void gated_activation(const Context& ctx, Activation act, TensorView<const float> gate_up,
                      TensorView<float> y) {
  const Timed timed(ctx.profile, "gated_activation");
  in_context("gated_activation", [&] {
    const std::int64_t rows = y.rows(), n = y.cols();
    gate_up.expect({rows, 2 * n});
    if (ctx.device != nullptr) return on_device::gated_activation(*ctx.device, act, gate_up, y);
    if (ctx.isa == Isa::reference) return reference::gated_activation(act, gate_up, y);
    const cpu::CpuOps& ops = cpu::ops_for(ctx.isa);
    const std::int64_t grain = cpu::rows_per_piece(n);
    ctx.pool->parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; r++) {
        ops.gated_activation(act, gate_up.row(r), gate_up.row(r) + n, y.row(r), n);
      }
    });
  });
}

void add(const Context& ctx, TensorView<const float> x, TensorView<float> y) {
  const Timed timed(ctx.profile, "add");
  in_context("add", [&] {
    x.expect(y.shape());
    if (ctx.device != nullptr) return on_device::add(*ctx.device, x, y);
    const std::int64_t cols = y.cols(), grain = cpu::rows_per_piece(cols);
    ctx.pool->parallel_for(y.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; r++) {
        const float* from = x.row(r);
        float* to = y.row(r);
        for (std::int64_t i = 0; i < cols; i++) to[i] += from[i];
      }
    });
  });
}

void add_scaled(const Context& ctx, TensorView<const float> x, TensorView<const float> scale,
                TensorView<float> y) {
  const Timed timed(ctx.profile, "add");
  in_context("add_scaled", [&] {
    x.expect(y.shape());
    const std::int64_t cols = y.cols(), grain = cpu::rows_per_piece(cols);
    scale.expect({cols});
    if (ctx.device != nullptr) return on_device::add_scaled(*ctx.device, x, scale, y);
    ctx.pool->parallel_for(y.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; r++) {
        const float *from = x.row(r), *factor = scale.data();
        float* to = y.row(r);
        for (std::int64_t i = 0; i < cols; i++) to[i] += factor[i] * from[i];
      }
    });
  });
}

void scale(const Context& ctx, float factor, TensorView<float> x) {
  const Timed timed(ctx.profile, "scale");
  if (ctx.device != nullptr) return on_device::scale(*ctx.device, factor, x);
  const std::int64_t cols = x.cols(), grain = cpu::rows_per_piece(cols);
  ctx.pool->parallel_for(x.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; r++) {
      float* row = x.row(r);
      for (std::int64_t i = 0; i < cols; i++) row[i] *= factor;
    }
  });
}

void softcap(const Context& ctx, float cap, TensorView<float> x) {
  if (ctx.device != nullptr) return on_device::softcap(*ctx.device, cap, x);
  scale(ctx, 1 / cap, x);
  activate(ctx, Activation::tanh, x);
  scale(ctx, cap, x);
}

}  // namespace chiasm::kernels
