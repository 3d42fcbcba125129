#include "language/decoder_attention.h"

#include "kernels/rope.h"
#include "language/attention_watch.h"

namespace chiasm::language {

SelfAttention::SelfAttention(const Context& ctx, const DecoderConfig& c, std::int64_t index,
                             std::int64_t cached, const Weights& w, kernels::WeightFormat format)
    : index_(index),
      cached_(cached),
      sliding_(c.layer[std::size_t(index)].sliding),
      turned_(!c.rope.inv_freq.empty() && c.layer[std::size_t(index)].turned),
      shape_{c.heads,
             c.kv_heads,
             c.head_dim,
             c.attention_scale * c.layer[std::size_t(index)].scale,
             c.attention_softcap,
             false},
      norm_(load_norm(c, w, c.names.mixer_norm, c.hidden_size)),
      out_norm_(load_norm(c, w, c.names.mixed_norm, c.hidden_size)) {
  const Weights attention = w.scope(c.names.attention);
  const std::int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  q_norm_ = load_norm(c, attention, c.names.q_norm, c.head_dim);
  k_norm_ = load_norm(c, attention, c.names.k_norm, c.head_dim);
  if (c.names.qkv.empty()) {
    qkv_ = {ctx,           attention,  {{"q_proj", q}, {"k_proj", kv, c.k_bias}, {"v_proj", kv}},
            c.hidden_size, c.qkv_bias, format};
  } else {
    qkv_ = load_linear(ctx, c, attention, {c.names.qkv, q + 2 * kv}, c.hidden_size, c.qkv_bias,
                       format);
  }
  out_ = load_linear(ctx, c, attention, {c.names.out, c.hidden_size}, q, c.out_bias, format);
  shape_.bf16_products = allows_bf16_products(qkv_);
}

std::size_t SelfAttention::bytes() const {
  return language::bytes(norm_) + language::bytes(q_norm_) + language::bytes(k_norm_) +
         language::bytes(out_norm_) + qkv_.bytes() + out_.bytes();
}

void SelfAttention::forward(const Context& ctx, const KvPages& pages, const DecoderBatch& batch,
                            Arena& arena, TensorView<float> x) const {
  const std::int64_t rows = x.rows(), heads = shape_.heads, kv_heads = shape_.kv_heads,
                     head_dim = shape_.head_dim;
  const std::int64_t q_dim = heads * head_dim, kv_dim = kv_heads * head_dim;
  Arena::Frame frame(arena);
  const auto normed = arena.floats({rows, x.cols()}, "normed");
  const auto qkv = arena.floats({rows, q_dim + 2 * kv_dim}, "qkv");
  const auto mixed = arena.floats({rows, q_dim}, "mixed");
  (*norm_)(ctx, x, normed);
  qkv_(ctx, normed, qkv);
  const auto q = qkv.slice_cols(0, q_dim);
  const auto k = qkv.slice_cols(q_dim, kv_dim);
  const auto v = qkv.slice_cols(q_dim + kv_dim, kv_dim);
  if (q_norm_) q_norm_->heads(ctx, q, heads);
  if (k_norm_) k_norm_->heads(ctx, k, kv_heads);
  const DecoderBatch::Reach& reach = sliding_ ? batch.sliding : batch.full;
  if (turned_) {
    kernels::rotate_half(ctx, q, heads, head_dim, reach.cosine, reach.sine);
    kernels::rotate_half(ctx, k, kv_heads, head_dim, reach.cosine, reach.sine);
  }
  if (batch.watch != nullptr) {
    batch.watch->see(ctx, index_, shape_, q, k, reach.first_key, batch.last_key);
  }

  kernels::KeyValues kv;
  kv.page_dtype = pages.shape().dtype;
  std::byte* const keys = pages.keys(cached_);
  std::byte* const values = pages.values(cached_);
  kernels::write_pages(ctx, k, kv_heads, head_dim, batch.slot, keys, kv.page_dtype);
  kernels::write_pages(ctx, v, kv_heads, head_dim, batch.slot, values, kv.page_dtype);
  kv.k_pages = keys;
  kv.v_pages = values;
  kernels::AttentionShape shape = shape_;
  shape.bf16_products = shape_.bf16_products && kv.page_dtype != DType::f32;
  kernels::attention(ctx, shape, q, kv, batch.sequences, reach.first_key, batch.last_key, mixed);
  join(ctx, out_, out_norm_, mixed, arena, x);
}

}  // namespace chiasm::language
