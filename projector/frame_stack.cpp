#include "projector/frame_stack.h"

#include "core/staged.h"
#include "kernels/activation.h"
#include "kernels/embed.h"

namespace chiasm::projector {

namespace {
constexpr kernels::NormKind kNorm{kernels::NormKind::rms, 1e-6f, 0};
}  // namespace

FrameStackProjector::FrameStackProjector(const Context& ctx, const Weights& weights,
                                         const Sizes& sizes, kernels::WeightFormat format)
    : sizes_(sizes),
      pre_(weights, "ln_pre", sizes.in * sizes.stacked, kNorm),
      last_(weights, sizes.norm_inside ? "ln_mid" : "ln_post",
            sizes.norm_inside ? sizes.hidden / 2 : sizes.out, kNorm),
      first_(ctx, weights, {{"linear_1", sizes.hidden}}, sizes.in * sizes.stacked, false, format),
      second_(ctx, weights, {{"linear_2", sizes.out}}, sizes.hidden / 2, false, format) {}

std::size_t FrameStackProjector::bytes() const {
  return pre_.bytes() + last_.bytes() + first_.bytes() + second_.bytes();
}

void FrameStackProjector::forward(const Context& ctx, TensorView<const float> x,
                                  std::span<const std::int64_t> windows, Arena& arena,
                                  TensorView<float> y) const {
  const std::int64_t rows = y.rows(), half = sizes_.hidden / 2;
  Arena::Frame frame(arena);
  const auto stacked = arena.floats({rows, sizes_.in * sizes_.stacked}, "stacked");
  std::int64_t from = 0, to = 0;
  for (const std::int64_t frames : windows) {
    const std::int64_t places = this->rows(frames) * sizes_.stacked;
    const TensorView<float> own(stacked.row(to), {places, sizes_.in}, "frames");
    kernels::move_rows(ctx, x.slice_rows(from, frames), {}, own.slice_rows(0, frames));
    clear(ctx, own.slice_rows(frames, places - frames));
    to += this->rows(frames);
    from += frames;
  }
  x.expect({from, sizes_.in});
  y.expect({to, sizes_.out});
  const auto both = arena.floats({rows, sizes_.hidden}, "value and gate");
  const auto turned = arena.floats({rows, sizes_.hidden}, "gate and value");
  pre_(ctx, stacked, stacked);
  first_(ctx, stacked, both);
  kernels::move_rows(ctx, both.slice_cols(half, half), {}, turned.slice_cols(0, half));
  kernels::move_rows(ctx, both.slice_cols(0, half), {}, turned.slice_cols(half, half));
  const auto hidden = both.slice_cols(0, half);
  kernels::gated_activation(ctx, kernels::Activation::silu, turned, hidden);
  if (sizes_.norm_inside) last_(ctx, hidden, hidden);
  second_(ctx, hidden, y);
  if (!sizes_.norm_inside) last_(ctx, y, y);
}

}  // namespace chiasm::projector
