#pragma once
/// A library's attention behind the same call as our own: what is asked of it, in its terms. The
/// backend does it: cuDNN on the card (card/cudnn_attention.cpp), plain loops that check every
/// operand on the emulated device (emulation/library_attention.cpp). attention_library.cu decides
/// which calls go there.
#include <cstdint>
#include <optional>
#include <tuple>

#include "kernels/cuda/page_size.h"
#include "kernels/cuda/session.h"

namespace chiasm::device {

/// What a library makes a plan for. q and out are bfloat16 [batch, rows, heads, head_dim] without
/// gaps, k and v [batch, keys, kv_heads, head_dim], or pages as the cache has them.
struct LibraryShape {
  std::int64_t batch;       // sequences
  std::int64_t rows, keys;  // of each; `packed`: at most
  std::int64_t heads, kv_heads, head_dim;
  float scale;
  bool causal;          // a sequence's rows are its last ones
  std::int64_t window;  // keys that a causal row sees at most; 0: all up to its place
  /// Whether sequences have rows and keys of their own number and lie one behind the other;
  /// LibraryOperands says where they begin. Some may be empty.
  bool packed;
  std::int64_t pages;  // in each of k and v; 0: rows. Only packed.

  auto key() const {
    return std::tie(batch, rows, keys, heads, kv_heads, head_dim, scale, causal, window, packed,
                    pages);
  }
  /// An order, for maps of plans.
  bool operator<(const LibraryShape& other) const { return key() < other.key(); }

  /// Pages of a sequence in the table.
  std::int64_t table_width() const {
    return pages > 0 ? (keys + kPageTokens - 1) / kPageTokens : 0;
  }
};

/// Where it all lies, in the device's memory, bfloat16 aligned to 16 bytes.
struct LibraryOperands {
  const void* q;
  const void* k;
  const void* v;
  void* out;
  // Of packed sequences; null for others.
  const std::int32_t* row_counts;   // [batch]
  const std::int32_t* key_counts;   // [batch]
  const std::int32_t* row_offsets;  // [batch + 1]: where a sequence's first number of q stands
  const std::int32_t* key_offsets;  // [batch + 1]: of k and v; null for pages
  const std::int32_t* page_table;   // [batch, table_width]; null for rows
  void* workspace;                  // as many bytes as the plan asks for
};

/// Shapes that are not packed and get a plan: encoders have a few sizes, or as many as there are
/// pictures, which packed plans serve.
inline constexpr std::size_t kMostExactShapes = 16;
/// Shapes that get a plan at all: none is given back before the end, since graphs launch its
/// kernels.
inline constexpr std::size_t kMostShapes = 256;

// Of the backend. A session's library is null until it is opened.
/// Failure (unsupported) that says what is missing.
void open_library_attention(Session& session);
void close_library_attention(Session& session) noexcept;
/// Bytes of workspace that a plan for this shape needs, which is made at the first call; nothing
/// where the library has no kernel for it, or has plans enough. Failure for a new shape while a
/// graph is recorded.
std::optional<std::uint64_t> library_workspace(Session& session, const LibraryShape& shape);
/// After library_workspace gave a size for the shape.
void library_attend(Session& session, const LibraryShape& shape, const LibraryOperands& operands);

/// Of attention_library.cu: the call through the session's library, or false where our own kernels
/// must do it.
bool attention_library(Session& session, const AttentionCall& call);

}  // namespace chiasm::device
