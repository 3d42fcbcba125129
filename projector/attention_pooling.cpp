#include "projector/attention_pooling.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "kernels/attention.h"

namespace chiasm::projector {

AttentionPooling::AttentionPooling(const Context& ctx, const Sizes& s, const Weights& w,
                                   kernels::WeightFormat format)
    : sizes_(s),
      bf16_products_(format != kernels::WeightFormat::f32 && format != kernels::WeightFormat::f16),
      qkv_(kernels::load_matrix(ctx, w, "attention.in_proj_weight", 3 * s.dim, s.dim, format)),
      qkv_bias_(w.floats("attention.in_proj_bias", {3 * s.dim})),
      query_(float_tensor({1, 3 * s.dim})),
      out_(ctx, w, {{"attention.out_proj", s.dim}}, s.dim, true, format),
      up_(ctx, w, {{"mlp.fc1", s.inner}}, s.dim, true, format),
      down_(ctx, w, {{"mlp.fc2", s.dim}}, s.inner, true, format),
      norm_(w, "layernorm", s.dim, s.norm) {
  const Tensor probe = w.floats("probe", {1, 1, s.dim});
  const TensorView<const float> row(probe.view<float>().data(), {1, s.dim}, "probe");
  kernels::linear(ctx, row, qkv_, {qkv_bias_.view<float>().data()}, query_.view<float>());
}

std::size_t AttentionPooling::bytes() const {
  return qkv_.bytes() + qkv_bias_.bytes() + query_.bytes() + out_.bytes() + up_.bytes() +
         down_.bytes() + norm_.bytes();
}

void AttentionPooling::forward(const Context& ctx, TensorView<const float> x, std::int64_t rows,
                               Arena& arena, TensorView<float> out) const {
  const std::int64_t groups = out.rows(), dim = sizes_.dim, head_dim = dim / sizes_.heads;
  x.expect({groups * rows, dim});
  out.expect({groups, dim});
  Arena::Frame frame(arena);
  const auto qkv = arena.floats({x.rows(), 3 * dim}, "qkv");  // the patches' queries go unused
  kernels::linear(ctx, x, qkv_, {qkv_bias_.view<float>().data()}, qkv);
  const auto query = arena.floats({groups, dim}, "query");
  const auto mixed = arena.floats({groups, dim}, "mixed");
  std::vector<kernels::AttentionSequence> sequences;
  for (std::int64_t i = 0; i < groups; i++) {
    std::copy_n(query_.view<float>().data(), dim, query.row(i));
    sequences.push_back({i, 1, rows, i * rows, nullptr});
  }
  const std::vector<std::int32_t> first(std::size_t(groups), 0);
  const std::vector<std::int32_t> last(first.size(), std::int32_t(rows));
  kernels::KeyValues kv;
  kv.k = qkv.slice_cols(dim, dim);
  kv.v = qkv.slice_cols(2 * dim, dim);
  const float scale = 1.0f / std::sqrt(float(head_dim));
  kernels::attention(ctx, {sizes_.heads, sizes_.heads, head_dim, scale, 0, bf16_products_}, query,
                     kv, sequences, first, last, mixed);
  out_(ctx, mixed, out);
  const auto hidden = arena.floats({groups, sizes_.inner}, "hidden");
  norm_(ctx, out, mixed);
  up_(ctx, mixed, hidden, sizes_.activation);
  down_.accumulate(ctx, hidden, out);
}

}  // namespace chiasm::projector
