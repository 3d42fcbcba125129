#include "language/decoder_state_space.h"

#include <cmath>
#include <span>
#include <utility>

#include "core/error.h"
#include "kernels/activation.h"
#include "kernels/norm.h"
#include "kernels/short_convolution.h"
#include "kernels/state_space.h"

namespace chiasm::language {

namespace {

/// How fast each head forgets. A folder holds the logarithm, a GGUF file what the state is
/// multiplied with, which is below 0.
Tensor load_rates(const Weights& weights, std::int64_t heads) {
  const std::string_view name = weights.has("A") ? "A" : "A_log";
  Tensor rates = weights.floats(name, {heads});
  for (float& rate : std::span(rates.view<float>().data(), std::size_t(heads))) {
    const float stored = rate;
    rate = name == "A" ? -stored : std::exp(stored);
    if (!(rate >= 0)) fail<ModelError>(weights.full(name), ": ", stored, " makes no decay");
  }
  return rates;
}

}  // namespace

std::int64_t StateSpace::fixed(const DecoderConfig& c) {
  const StateSpaceConfig& s = c.state_space;
  return (s.taps - 1) * s.convolved() + s.inner() * s.size;
}

StateSpace::StateSpace(const Context& ctx, const DecoderConfig& c, std::int64_t kept,
                       const Weights& w, kernels::WeightFormat format)
    : shape_(c.state_space),
      activation_(c.activation),
      eps_(c.norm.eps),
      first_fixed_(kept * fixed(c)),
      norm_(load_norm(c, w, c.names.mixer_norm, c.hidden_size)) {
  const StateSpaceConfig& s = shape_;
  const Weights own = w.scope(c.names.state_space);
  const std::int64_t projected = s.inner() + s.convolved() + s.heads;
  in_ = {ctx, own, {{"in_proj", projected}}, c.hidden_size, s.bias, format};
  out_ = {ctx, own, {{"out_proj", c.hidden_size}}, s.inner(), s.bias, format};
  convolution_ = load_taps(own, "conv1d.weight", s.convolved(), s.taps);
  if (s.convolution_bias) convolution_bias_ = own.floats("conv1d.bias", {s.convolved()});
  step_bias_ = own.floats("dt_bias", {s.heads});
  rates_ = load_rates(own, s.heads);
  skip_ = own.floats("D", {s.heads});
  gated_norm_ = own.floats("norm.weight", {s.inner()});
}

std::size_t StateSpace::bytes() const {
  return language::bytes(norm_) + in_.bytes() + out_.bytes() + convolution_.bytes() +
         convolution_bias_.bytes() + step_bias_.bytes() + rates_.bytes() + skip_.bytes() +
         gated_norm_.bytes();
}

/// From the columns behind the gate, x, b and c before the convolution, and the steps, to the
/// scan's output, which takes the place of x.  projected: [rows, inner + convolved + heads].
void StateSpace::scan(const Context& ctx, const DecoderBatch& batch, Arena& arena,
                      TensorView<float> projected) const {
  const StateSpaceConfig& s = shape_;
  const std::int64_t rows = projected.rows(), inner = s.inner(), all = s.convolved(),
                     shared = s.groups * s.size;
  Arena::Frame frame(arena);
  const auto xbc = arena.floats({rows, all}, "convolved");
  const auto decay = arena.floats({rows, s.heads}, "decay");
  const auto step = projected.slice_cols(inner + all, s.heads);
  const auto out = projected.slice_cols(inner, inner);
  kernels::state_space_steps(ctx, step_bias_.view<float>(), rates_.view<float>(),
                             {s.least_step, s.most_step}, step, decay);
  const float* const bias =
      convolution_bias_.bytes() > 0 ? convolution_bias_.view<float>().data() : nullptr;
  const auto before = [&](std::size_t i) {
    float* const kept = batch.fixed[i].data() + first_fixed_;
    return std::pair(TensorView<float>(kept, {s.taps - 1, all}, "history"),
                     TensorView<float>(kept + (s.taps - 1) * all, {inner, s.size}, "state"));
  };
  for (std::size_t i = 0; i < batch.sequences.size(); i++) {
    const std::int64_t first = batch.sequences[i].q_begin, count = batch.sequences[i].q_count;
    kernels::short_convolution(ctx, projected.slice_cols(inner, all).slice_rows(first, count),
                               convolution_.view<float>(), bias, before(i).first,
                               xbc.slice_rows(first, count));
  }
  kernels::activate(ctx, activation_, xbc);
  for (std::size_t i = 0; i < batch.sequences.size(); i++) {
    const std::int64_t first = batch.sequences[i].q_begin, count = batch.sequences[i].q_count;
    const auto own = xbc.slice_rows(first, count);
    kernels::state_space_scan(ctx, s.groups, own.slice_cols(0, inner),
                              own.slice_cols(inner, shared), own.slice_cols(inner + shared, shared),
                              step.slice_rows(first, count), decay.slice_rows(first, count),
                              skip_.view<float>(), before(i).second, out.slice_rows(first, count));
  }
}

void StateSpace::forward(const Context& ctx, const DecoderBatch& batch, Arena& arena,
                         TensorView<float> x) const {
  const StateSpaceConfig& s = shape_;
  const std::int64_t rows = x.rows(), inner = s.inner(), group = inner / s.groups;
  Arena::Frame frame(arena);
  const auto normed = arena.floats(x.shape(), "normed");
  const auto projected = arena.floats({rows, in_.out()}, "projected");
  (*norm_)(ctx, x, normed);
  in_(ctx, normed, projected);  // gate, x, b, c and steps, side by side
  scan(ctx, batch, arena, projected);
  const auto mixed = arena.floats({rows, inner}, "mixed");
  kernels::gated_activation(ctx, kernels::Activation::silu, projected.slice_cols(0, 2 * inner),
                            mixed);
  const float* const weight = gated_norm_.view<float>().data();
  for (std::int64_t g = 0; g < s.groups; g++) {
    const auto columns = mixed.slice_cols(g * group, group);
    const TensorView<const float> own(weight + g * group, {group}, "norm.weight");
    kernels::rms_norm(ctx, columns, own, eps_, columns);
  }
  out_.accumulate(ctx, mixed, x);
}

}  // namespace chiasm::language
