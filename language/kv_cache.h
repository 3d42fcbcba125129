#pragma once
/// What sequences leave behind in a decoder: pages of keys and values, reference-counted.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "kernels/attention.h"

namespace chiasm::language {

/// Shape of a decoder's keys and values.
struct KvShape {
  std::int64_t layers = 0, kv_heads = 0, head_dim = 0;
  DType dtype = DType::f32;  // f32, bf16 or i8
  /// Numbers that a sequence keeps besides, however long it is.
  std::int64_t fixed = 0;

  std::size_t page_bytes() const {  // keys or values of one page in one layer
    return kernels::page_bytes(kv_heads, head_dim, dtype);
  }
  /// What a sequence keeps besides.
  std::size_t fixed_bytes() const { return std::size_t(fixed) * sizeof(float); }
  /// Keys and values of one token in all layers.
  std::size_t token_bytes() const {
    return std::size_t(2 * layers) * page_bytes() / std::size_t(kernels::kPageTokens);
  }
};

/// All pages of one model: `[layer][page][kv_head][64][head_dim]`, K and V apart. The address space
/// of `capacity` pages is reserved at once; on the CPU, memory is taken when a page is first
/// written. Not thread-safe: the engine's loop owns it.
class KvPages {
 public:
  /// RequestError when the address space is refused.
  KvPages(const KvShape& shape, std::int64_t capacity);
  /// All of it in the memory of a device, which must outlive it, at once. RequestError likewise.
  KvPages(const KvShape& shape, std::int64_t capacity, Device& device);
  ~KvPages();
  KvPages(const KvPages&) = delete;
  KvPages& operator=(const KvPages&) = delete;

  const KvShape& shape() const { return shape_; }
  std::int64_t capacity() const { return capacity_; }
  std::int64_t available() const { return capacity_ - used_; }

  /// A page with one reference. RequestError when none is left.
  std::int32_t acquire();
  void retain(std::int32_t page) { references_[std::size_t(page)]++; }
  /// Drops a reference; the last one frees the page.
  void release(std::int32_t page);
  std::int32_t references(std::int32_t page) const { return references_[std::size_t(page)]; }

  /// Base of one layer's pages, as kernels::KeyValues takes it.
  std::byte* keys(std::int64_t layer) const;
  std::byte* values(std::int64_t layer) const;
  void copy(std::int32_t from, std::int32_t to) const;

 private:
  KvShape shape_;
  std::int64_t capacity_, used_ = 0;
  std::size_t layer_bytes_;
  std::byte* memory_ = nullptr;
  Device* device_ = nullptr;
  std::vector<std::int32_t> free_;  // last freed first taken: its memory is already there
  std::vector<std::int32_t> references_;
};

/// One sequence's place in the cache: pages of its tokens, and numbers of fixed count that each
/// token changes. Move-only; gives its pages back when it ends.
class SequenceState {
 public:
  explicit SequenceState(KvPages& pages) : pool_(&pages) {}
  ~SequenceState() { clear(); }
  SequenceState(SequenceState&& other) noexcept;
  SequenceState& operator=(SequenceState&& other) noexcept;

  /// Tokens whose keys and values are in.
  std::int64_t length() const { return length_; }
  /// Makes room for tokens up to `length` and makes the pages to be written its own (copy on
  /// write).
  void reserve(std::int64_t length);
  /// Declares `count` more tokens written.
  void advance(std::int64_t count) { length_ += count; }
  /// The most tokens up to `length` that truncate and fork can keep: `length`, but what has fixed
  /// numbers keeps all or nothing, since these know no past.
  std::int64_t shareable(std::int64_t length) const;
  /// Forgets the tokens from `length` on. ShapeError where they cannot be told apart, see
  /// shareable.
  void truncate(std::int64_t length);
  /// A second sequence that shares the first `length` tokens; pages are copied only when written,
  /// fixed numbers at once. ShapeError as truncate.
  SequenceState fork(std::int64_t length) const;
  void clear();

  /// [KvShape::fixed], zero until something is written.
  std::span<float> fixed();

  const std::vector<std::int32_t>& pages() const { return pages_; }
  /// Where token `i` is written: page * 64 + place.
  std::int64_t slot(std::int64_t i) const {
    return std::int64_t(pages_[std::size_t(i / kernels::kPageTokens)]) * kernels::kPageTokens +
           i % kernels::kPageTokens;
  }

 private:
  void check_shareable(std::int64_t length) const;

  KvPages* pool_;
  std::vector<std::int32_t> pages_;
  std::int64_t length_ = 0;
  std::vector<float> fixed_;  // empty while no token is in
};

}  // namespace chiasm::language
