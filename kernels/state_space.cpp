#include "kernels/state_space.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/choose.h"
#include "kernels/cpu/simd_portable.h"
#include "kernels/on_device.h"

namespace chiasm::kernels {

namespace {

using V = cpu::VecPortable;

/// torch's softplus, which is the identity from 20 on.
float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

/// state = decay * state + entering * b; returns state . c. All [size]. Two sums run side by side.
float advance(float* state, std::int64_t size, float decay, float entering, const float* b,
              const float* c) {
  V sums[2] = {V::zero(), V::zero()};
  const V kept = V::set(decay), added = V::set(entering);
  std::int64_t n = 0;
  for (; n + 2 * V::kLanes <= size; n += 2 * V::kLanes) {
    for (int s = 0; s < 2; s++) {
      const std::int64_t at = n + s * V::kLanes;
      const V next = V::load(state + at) * kept + V::load(b + at) * added;
      next.store(state + at);
      sums[s] = sums[s] + next * V::load(c + at);
    }
  }
  float sum = cpu::sum(sums[0] + sums[1]);
  for (; n < size; n++) {
    state[n] = state[n] * decay + b[n] * entering;
    sum += state[n] * c[n];
  }
  return sum;
}

}  // namespace

void state_space_steps(const Context& ctx, TensorView<const float> bias,
                       TensorView<const float> rate, StepLimits limits, TensorView<float> step,
                       TensorView<float> decay) {
  const Timed timed(ctx.profile, "state_space");
  in_context("state_space_steps", [&] {
    const std::int64_t heads = step.cols();
    bias.expect({heads});
    rate.expect({heads});
    decay.expect(step.shape());
    on_device::refuse(ctx, "a state space");
    for (std::int64_t r = 0; r < step.rows(); r++) {
      float *const own = step.row(r), *const kept = decay.row(r);
      for (std::int64_t h = 0; h < heads; h++) {
        own[h] = std::clamp(softplus(own[h] + bias.data()[h]), limits.least, limits.most);
        kept[h] = std::exp(-rate.data()[h] * own[h]);
      }
    }
  });
}

void state_space_scan(const Context& ctx, std::int64_t groups, TensorView<const float> x,
                      TensorView<const float> b, TensorView<const float> c,
                      TensorView<const float> step, TensorView<const float> decay,
                      TensorView<const float> skip, TensorView<float> state, TensorView<float> y) {
  const Timed timed(ctx.profile, "state_space");
  in_context("state_space_scan", [&] {
    const std::int64_t rows = x.rows(), heads = step.cols(), size = state.cols();
    if (groups < 1 || heads < 1 || heads % groups != 0 || x.cols() % heads != 0) {
      fail<ShapeError>(x.name(), ": shape ", x.shape(), " for ", heads, " heads in ", groups,
                       " groups");
    }
    y.expect(x.shape());
    b.expect({rows, groups * size});
    c.expect(b.shape());
    step.expect({rows, heads});
    decay.expect(step.shape());
    skip.expect({heads});
    state.expect({x.cols(), size});
    on_device::refuse(ctx, "a state space");
    const std::int64_t head_dim = x.cols() / heads;
    // Channels depend on nothing but themselves: each thread takes some through all rows.
    const std::int64_t grain = cpu::rows_per_piece(std::max<std::int64_t>(rows, 1) * size);
    ctx.pool->parallel_for(x.cols(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i++) {
        const std::int64_t h = i / head_dim, first = h / (heads / groups) * size;
        for (std::int64_t r = 0; r < rows; r++) {
          const float in = x.row(r)[i];
          const float out = advance(state.row(i), size, decay.row(r)[h], step.row(r)[h] * in,
                                    b.row(r) + first, c.row(r) + first);
          y.row(r)[i] = out + skip.data()[h] * in;
        }
      }
    });
  });
}

}  // namespace chiasm::kernels
