#include "language/decoder_cross.h"

#include <algorithm>
#include <numeric>

#include "core/staged.h"

namespace chiasm::language {

CrossAttention::CrossAttention(const Context& ctx, const DecoderConfig& c, const Weights& w,
                               kernels::WeightFormat format)
    : shape_{c.heads, c.kv_heads, c.head_dim, c.attention_scale, 0, false},
      norm_(load_norm(c, w, c.names.cross_norm, c.hidden_size)) {
  const Weights cross = w.scope(c.names.cross);
  const std::int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  q_ = {ctx, cross, {{"q_proj", q}}, c.hidden_size, c.qkv_bias, format};
  kv_ = {ctx, cross, {{"k_proj", kv, c.k_bias}, {"v_proj", kv}}, c.hidden_size, c.qkv_bias, format};
  out_ = {ctx, cross, {{c.names.out, c.hidden_size}}, q, c.out_bias, format};
  shape_.bf16_products = allows_bf16_products(q_);
}

std::size_t CrossAttention::bytes() const {
  return language::bytes(norm_) + q_.bytes() + kv_.bytes() + out_.bytes();
}

CrossMemory::Layer CrossAttention::remember(const Context& ctx, TensorView<const float> features,
                                            const CrossMemory& memory, Arena& arena) const {
  const std::int64_t rows = features.rows(), kv_dim = shape_.kv_heads * shape_.head_dim;
  const Shape shape{std::int64_t(memory.pages.size()), shape_.kv_heads, kernels::kPageTokens,
                    shape_.head_dim};
  const auto pages = [&] {
    if (ctx.device != nullptr) return Tensor(memory.dtype, shape, *ctx.device);
    Tensor all(memory.dtype, shape);
    // A block of keys is read whole: what lies behind the last one must be numbers.
    std::fill_n(all.data(), all.bytes(), std::byte{0});
    return all;
  };
  CrossMemory::Layer layer{pages(), pages()};
  Arena::Frame frame(arena);
  const auto kv = arena.floats({rows, 2 * kv_dim}, "keys and values");
  kv_(ctx, features, kv);
  std::vector<std::int64_t> slot(std::size_t(rows), 0);
  std::iota(slot.begin(), slot.end(), 0);
  kernels::write_pages(ctx, kv.slice_cols(0, kv_dim), shape_.kv_heads, shape_.head_dim, slot,
                       layer.keys.data(), memory.dtype);
  kernels::write_pages(ctx, kv.slice_cols(kv_dim, kv_dim), shape_.kv_heads, shape_.head_dim, slot,
                       layer.values.data(), memory.dtype);
  return layer;
}

void CrossAttention::forward(const Context& ctx, const DecoderBatch& batch, std::int64_t layer,
                             Arena& arena, TensorView<float> x) const {
  const std::int64_t q_dim = shape_.heads * shape_.head_dim;
  Arena::Frame frame(arena);
  const auto normed = arena.floats(x.shape(), "normed");
  const auto q = arena.floats({x.rows(), q_dim}, "queries");
  const auto mixed = arena.floats({x.rows(), q_dim}, "mixed");
  (*norm_)(ctx, x, normed);
  q_(ctx, normed, q);
  for (std::size_t i = 0; i < batch.sequences.size(); i++) {  // each looks at a memory of its own
    const kernels::AttentionSequence& rows = batch.sequences[i];
    const CrossMemory* memory = batch.cross[i];
    const auto out = mixed.slice_rows(rows.q_begin, rows.q_count);
    if (memory == nullptr) {
      clear(ctx, out);
      continue;
    }
    const CrossMemory::Layer& kept = memory->layers[std::size_t(layer)];
    kernels::KeyValues kv;
    kv.k_pages = kept.keys.data();
    kv.v_pages = kept.values.data();
    kv.page_dtype = memory->dtype;
    kernels::AttentionShape shape = shape_;
    shape.bf16_products = shape_.bf16_products && memory->dtype == DType::bf16;
    const kernels::AttentionSequence all{0, rows.q_count, memory->rows, 0, memory->pages.data()};
    const std::vector<std::int32_t> first(std::size_t(rows.q_count), 0);
    const std::vector<std::int32_t> last(std::size_t(rows.q_count), std::int32_t(memory->rows));
    kernels::attention(ctx, shape, q.slice_rows(rows.q_begin, rows.q_count), kv, {&all, 1}, first,
                       last, out);
  }
  out_.accumulate(ctx, mixed, x);
}

}  // namespace chiasm::language
