#include "language/decoder_convolution.h"

#include "kernels/short_convolution.h"

namespace chiasm::language {

ShortConvolution::ShortConvolution(const Context& ctx, const DecoderConfig& c, std::int64_t kept,
                                   const Weights& w, kernels::WeightFormat format)
    : taps_(c.taps),
      first_fixed_(kept * fixed(c)),
      norm_(load_norm(c, w, c.names.mixer_norm, c.hidden_size)) {
  const Weights own = w.scope(c.names.convolution);
  const std::int64_t dim = c.hidden_size;
  in_ = {ctx, own, {{"in_proj", 3 * dim}}, dim, c.convolution_bias, format};
  out_ = {ctx, own, {{"out_proj", dim}}, dim, c.convolution_bias, format};
  weight_ = load_taps(own, "conv.weight", dim, taps_);
  if (c.convolution_bias) bias_ = own.floats("conv.bias", {dim});
}

std::size_t ShortConvolution::bytes() const {
  return language::bytes(norm_) + in_.bytes() + out_.bytes() + weight_.bytes() + bias_.bytes();
}

void ShortConvolution::forward(const Context& ctx, const DecoderBatch& batch, Arena& arena,
                               TensorView<float> x) const {
  const std::int64_t rows = x.rows(), dim = x.cols();
  Arena::Frame frame(arena);
  const auto normed = arena.floats({rows, dim}, "normed");
  const auto bgx = arena.floats({rows, 3 * dim}, "gates");
  const auto mixed = arena.floats({rows, dim}, "mixed");
  (*norm_)(ctx, x, normed);
  in_(ctx, normed, bgx);
  const float* const bias = bias_.bytes() > 0 ? bias_.view<float>().data() : nullptr;
  for (std::size_t s = 0; s < batch.sequences.size(); s++) {
    const kernels::AttentionSequence& own = batch.sequences[s];
    const TensorView<float> history(batch.fixed[s].data() + first_fixed_, {taps_ - 1, dim},
                                    "history");
    kernels::gated_short_convolution(ctx, bgx.slice_rows(own.q_begin, own.q_count),
                                     weight_.view<float>(), bias, history,
                                     mixed.slice_rows(own.q_begin, own.q_count));
  }
  out_.accumulate(ctx, mixed, x);
}

}  // namespace chiasm::language
