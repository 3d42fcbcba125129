#include "language/decoder_mlp.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace chiasm::language {

namespace {

/// Mean square of each column; empty (nothing known) unless all are finite. x: [rows, cols].
std::vector<float> mean_squares(TensorView<const float> x) {
  std::vector<double> sums(std::size_t(x.cols()), 0);
  for (std::int64_t r = 0; r < x.rows(); r++) {
    for (std::int64_t k = 0; k < x.cols(); k++) {
      sums[std::size_t(k)] += double(x.row(r)[k]) * double(x.row(r)[k]);
    }
  }
  std::vector<float> means;
  for (const double sum : sums) means.push_back(float(sum / double(x.rows())));
  if (!std::ranges::all_of(means, [](float m) { return std::isfinite(m); })) return {};
  return means;
}

}  // namespace

Mlp::Mlp(const Context& ctx, const DecoderConfig& c, const Weights& w, const MlpFormats& formats,
         const CalibrationRows* rows)
    : gated_(c.gated()),
      inner_(c.intermediate_size),
      activation_(c.activation),
      norm_(load_norm(c, w, c.names.mlp_norm, c.hidden_size)),
      out_norm_(load_norm(c, w, c.names.mlp_out_norm, c.hidden_size)) {
  const Weights mlp = w.scope(c.names.mlp);
  const auto make_up = [&](std::span<const float> importance) {
    if (!c.names.gate.empty()) {
      up_ = {ctx,           mlp,        {{c.names.gate, inner_}, {c.names.up, inner_}},
             c.hidden_size, c.mlp_bias, formats.up,
             importance};
      return;
    }
    const kernels::LinearPart part = gated_ ? kernels::LinearPart{c.names.gate_up, 2 * inner_}
                                            : kernels::LinearPart{c.names.up, inner_};
    up_ = load_linear(ctx, c, mlp, part, c.hidden_size, c.mlp_bias, formats.up, importance);
  };
  const auto make_down = [&](std::span<const float> importance) {
    down_ = load_linear(ctx, c, mlp, {c.names.down, c.hidden_size}, inner_, c.mlp_bias,
                        formats.down, importance);
  };
  if (rows == nullptr) {
    make_up({});
    make_down({});
    return;
  }
  Arena::Frame frame(rows->arena);
  const auto normed = rows->arena.floats(rows->x.shape(), "normed");
  const auto hidden = rows->arena.floats({rows->x.rows(), inner_}, "hidden");
  (*norm_)(ctx, rows->x, normed);
  make_up(mean_squares(normed));
  expand(ctx, normed, rows->arena, hidden);
  make_down(mean_squares(hidden));
  join(ctx, down_, out_norm_, hidden, rows->arena, rows->x);
}

std::size_t Mlp::bytes() const {
  return language::bytes(norm_) + language::bytes(out_norm_) + up_.bytes() + down_.bytes();
}

// hidden = act(gate(normed)) * up(normed).  normed: [rows, hidden size], hidden: [rows, inner].
void Mlp::expand(const Context& ctx, TensorView<const float> normed, Arena& arena,
                 TensorView<float> hidden) const {
  if (!gated_) return up_(ctx, normed, hidden, activation_);
  up_.gated(ctx, normed, activation_, arena, hidden);
}

void Mlp::forward(const Context& ctx, Arena& arena, TensorView<float> x) const {
  Arena::Frame frame(arena);
  const auto normed = arena.floats(x.shape(), "normed");
  const auto hidden = arena.floats({x.rows(), inner_}, "hidden");
  (*norm_)(ctx, x, normed);
  expand(ctx, normed, arena, hidden);
  join(ctx, down_, out_norm_, hidden, arena, x);
}

}  // namespace chiasm::language
