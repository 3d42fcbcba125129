#pragma once
/// The two or three matrices that follow attention in every layer.
#include "language/decoder_parts.h"

namespace chiasm::language {

/// Rows that flow through the layers while these are made, see DecoderFormats::calibrate.
struct CalibrationRows {
  TensorView<float> x;  // [rows, hidden], the residual stream so far
  Arena& arena;
};

struct MlpFormats {
  kernels::WeightFormat up, down;
};

/// x += down(act(gate(norm(x))) * up(norm(x))), or down(act(up(norm(x)))) without a gate.
/// Immutable. Gated: Shazeer, 2020, arXiv:2002.05202.
class Mlp {
 public:
  /// `weights` has the layer's scope. With `rows`, each matrix is packed by what flows into it, and
  /// the rows go through.
  Mlp(const Context& ctx, const DecoderConfig& config, const Weights& weights,
      const MlpFormats& formats, const CalibrationRows* rows);

  /// x: [rows, hidden].
  void forward(const Context& ctx, Arena& arena, TensorView<float> x) const;
  std::size_t bytes() const;

 private:
  void expand(const Context& ctx, TensorView<const float> normed, Arena& arena,
              TensorView<float> hidden) const;

  bool gated_;
  std::int64_t inner_;
  kernels::Activation activation_;
  Norm norm_, out_norm_;
  kernels::LinearLayer up_, down_;  // `up_` holds the gate too
};

}  // namespace chiasm::language
