#pragma once
/// One attention for eyes, ears and language: packed variable-length sequences.
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/context.h"
#include "core/tensor.h"

namespace chiasm::kernels {

/// Keys a page of the KV cache holds.
inline constexpr std::int64_t kPageTokens = 64;

/// Dimensions of a key or value that share a scale in int8. As llama.cpp's q8_0.
inline constexpr std::int64_t kPageGroup = 32;

/// Bytes of the keys, or of the values, of one page in one layer. ShapeError for formats that pages
/// do not have.
std::size_t page_bytes(std::int64_t kv_heads, std::int64_t head_dim, DType page_dtype);

/// One sequence of a packed batch.
struct AttentionSequence {
  std::int64_t q_begin =
      0;  // its rows of q, first_key, last_key and out: [q_begin, q_begin + q_count)
  std::int64_t q_count = 0;
  std::int64_t key_count = 0;
  std::int64_t k_begin = 0;             // contiguous K/V: its first row in k and v
  const std::int32_t* pages = nullptr;  // paged K/V: page of key i is pages[i / kPageTokens]
};

/// Keys and values, either contiguous rows beside the queries or pages of a cache.
struct KeyValues {
  // Contiguous: [keys of all sequences, kv_heads * head_dim] float32, any row stride.
  TensorView<const float> k, v;
  // Paged: base of one layer, [page][kv_head][kPageTokens][head_dim], float32 or bfloat16; or int8,
  // where the scales of a page's KV head stand behind its rows: bfloat16, [group][kPageTokens],
  // each for kPageGroup dimensions of a row, a number being int8 * scale.
  const std::byte* k_pages = nullptr;
  const std::byte* v_pages = nullptr;
  DType page_dtype = DType::f32;
  bool paged() const { return k_pages != nullptr; }
};

struct AttentionShape {
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;  // heads % kv_heads == 0, head_dim <= 256
  float scale = 1;
  float softcap = 0;  // logits become softcap * tanh(logits / softcap) where > 0
  // Where the CPU multiplies bfloat16 (AVX-512 BF16): q, k, v and the softmax weights are narrowed
  // to it before they are multiplied; sums and softmax stay float32. With int8 pages q is rounded
  // to int8 instead, in groups as keys are. Elsewhere it changes nothing.
  bool bf16_products = false;
  // Where those are taken, and keys are contiguous: q and k are rounded to int8 before they are
  // multiplied, each head of a row with a scale of its own, its largest magnitude over 127.
  bool int8_scores = false;
};

/// out[r, h, :] = sum_j softmax_j(scale * q[r, h, :] . k[j, h', :]) v[j, h', :] with h' the KV head
/// of h, over the keys j in [first_key[r], last_key[r]) of the row's own sequence: full (0, n),
/// causal (0, position + 1), window, prefix and image spans are all that. A row that sees no key
/// gives zeros.
/// q, out: [rows, heads * head_dim] float32 (any row stride). first_key, last_key: [rows].
/// Keys are visited in blocks that begin at multiples of kPageTokens of the absolute key index, so
/// a row's arithmetic depends on nothing but its own sequence (bit for bit).
/// Throws ShapeError on disagreement, DeviceError for int8 pages on a device. Source: Dao et al.,
/// 2022, arXiv:2205.14135 (online softmax).
void attention(const Context& ctx, const AttentionShape& shape, TensorView<const float> q,
               const KeyValues& kv, std::span<const AttentionSequence> sequences,
               std::span<const std::int32_t> first_key, std::span<const std::int32_t> last_key,
               TensorView<float> out);

/// Writes rows of new keys or values into a layer's pages: row i goes to key `slot[i] % 64` of page
/// `slot[i] / 64`. x: [rows, kv_heads * head_dim]; pages as in KeyValues. Rows narrow to the page
/// dtype; in int8 a group's scale is its largest magnitude over 127, rounded up to bfloat16, and
/// NaN where that is not finite. DeviceError for int8 on a device.
void write_pages(const Context& ctx, TensorView<const float> x, std::int64_t kv_heads,
                 std::int64_t head_dim, std::span<const std::int64_t> slot, std::byte* pages,
                 DType page_dtype);

}  // namespace chiasm::kernels
