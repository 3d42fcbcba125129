#pragma once
/// The projector of Ultravox: neighbouring frames side by side, then a gated MLP between norms.
#include <span>

#include "core/arena.h"
#include "core/context.h"
#include "core/weights.h"
#include "kernels/linear_layer.h"
#include "kernels/norm_layer.h"

namespace chiasm::projector {

/// y = post(W2 mid(swiglu(W1 pre(x)))), where x is `stacked` rows side by side, zeros after the
/// last of a window, swiglu(a, b) = a * silu(b), and of the RMS norms `mid` and `post` a checkpoint
/// has one. Source: Ultravox's published config (`stack_factor`, `projector_ln_mid`, `norm_init`)
/// and model card; gating as Shazeer, 2020, arXiv:2002.05202, with the gate in the second half.
class FrameStackProjector {
 public:
  struct Sizes {
    std::int64_t in, hidden, out;  // `in` of one frame; `hidden` of the first matrix, both halves
    std::int64_t stacked;
    bool norm_inside;  // `mid` rather than `post`
  };

  /// `weights` has scope "multi_modal_projector".
  FrameStackProjector(const Context& ctx, const Weights& weights, const Sizes& sizes,
                      kernels::WeightFormat format);

  /// Rows that `frames` frames of one window become.
  std::int64_t rows(std::int64_t frames) const {
    return (frames + sizes_.stacked - 1) / sizes_.stacked;
  }
  /// x: [frames of all windows, in]; windows: frames of each; y: [rows of all windows, out].
  void forward(const Context& ctx, TensorView<const float> x, std::span<const std::int64_t> windows,
               Arena& arena, TensorView<float> y) const;

  const Sizes& sizes() const { return sizes_; }
  std::size_t bytes() const;
  /// Floats of scratch that forward() takes for each row of y.
  std::int64_t scratch_per_row() const { return sizes_.in * sizes_.stacked + 2 * sizes_.hidden; }

 private:
  Sizes sizes_;
  kernels::NormLayer pre_, last_;  // `last_` is `mid` or `post`
  kernels::LinearLayer first_, second_;
};

}  // namespace chiasm::projector
