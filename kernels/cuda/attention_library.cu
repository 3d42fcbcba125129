// Attention through a library (library_attention.h): which calls it can express, the shape that
// serves them, and what lies between our rows and its: float32 narrowed to bfloat16 and back, and
// each sequence's length and beginning.
#include <algorithm>
#include <bit>

#include "kernels/cuda/dev.h"
#include "kernels/cuda/library_attention.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/pages.h"
#include "kernels/cuda/pieces.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 128;
constexpr std::int64_t kLeast = 64;                           // rows and keys of a shape
constexpr std::int64_t kMostNumbers = std::int64_t(1) << 31;  // that an offset reaches

/// Rounded up, so that few shapes serve many lengths: a plan takes a library longer than a call.
std::int64_t bucket(std::int64_t n, std::int64_t least) {
  return std::int64_t(std::bit_ceil(std::uint64_t(std::max(n, least))));
}

/// Arrays of a packed call, for the library: see LibraryOperands.
struct Packing {
  std::int32_t* row_counts;
  std::int32_t* key_counts;
  std::int32_t* row_offsets;
  std::int32_t* key_offsets;
  std::int32_t* page_table;
  std::int64_t batch, width;
};

/// A thread a sequence. Those behind the call's last one are empty, and begin where it ends.
__global__ void pack(AttentionCall c, Packing p) {
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.batch) return;
  const bool real = i < c.facts.count;
  const Sequence s = c.sequences[real ? i : c.facts.count - 1];
  p.row_counts[i] = real ? s.q_count : 0;
  p.key_counts[i] = real ? s.key_count : 0;
  const std::int32_t row = real ? s.q_begin : s.q_begin + s.q_count;
  const std::int32_t key = real ? s.k_begin : s.k_begin + s.key_count;
  const auto q_cols = std::int32_t(c.heads * c.head_dim),
             k_cols = std::int32_t(c.kv_heads * c.head_dim);
  p.row_offsets[i] = row * q_cols;
  if (i == p.batch - 1) p.row_offsets[p.batch] = (row + (real ? s.q_count : 0)) * q_cols;
  if (p.page_table == nullptr) {
    p.key_offsets[i] = key * k_cols;
    if (i == p.batch - 1) p.key_offsets[p.batch] = (key + (real ? s.key_count : 0)) * k_cols;
    return;
  }
  const std::int64_t pages = real ? (s.key_count + kPageTokens - 1) / kPageTokens : 0;
  for (std::int64_t page = 0; page < p.width; page++) {
    // Behind a sequence's keys stands a page that exists; nobody looks at what it holds.
    p.page_table[i * p.width + page] = c.pages[page < pages ? s.pages + page : 0];
  }
}

__global__ void widen(const std::uint16_t* x, std::int64_t cols, float* y, std::int64_t stride) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i < cols) y[row * stride + i] = dev::from_bf16(x[row * cols + i]);
}

unsigned blocks(std::int64_t threads) { return unsigned((threads + kThreads - 1) / kThreads); }

/// Whether the library can express a call in bfloat16.
bool fits(const AttentionCall& c) {
  return c.facts.mask != Mask::by_row && c.softcap <= 0 &&
         c.rows * c.heads * c.head_dim < kMostNumbers &&
         c.key_rows * c.kv_heads * c.head_dim < kMostNumbers;
}

LibraryShape shape_of(const AttentionCall& c, bool packed) {
  const SequenceFacts& f = c.facts;
  LibraryShape shape{};
  shape.heads = c.heads;
  shape.kv_heads = c.kv_heads;
  shape.head_dim = c.head_dim;
  shape.scale = c.scale;
  shape.causal = f.mask == Mask::causal;
  shape.window = f.window;
  shape.packed = packed;
  shape.batch = packed ? bucket(f.count, 1) : f.count;
  shape.rows = packed ? bucket(f.most_rows, kLeast) : f.most_rows;
  shape.keys = packed ? bucket(c.most_keys, kLeast) : f.even_keys;
  shape.pages = c.paged ? f.page_count : 0;
  return shape;
}

struct Chosen {
  LibraryShape shape;
  std::uint64_t workspace;
};

/// The shape that serves a call: of its own sizes where sequences are alike, else packed.
std::optional<Chosen> choose(Session& session, const AttentionCall& c) {
  if (!fits(c)) return {};
  for (const bool packed : {false, true}) {
    if (!packed && (c.paged || c.facts.even_keys == 0)) continue;
    const LibraryShape shape = shape_of(c, packed);
    if (const auto workspace = library_workspace(session, shape)) return Chosen{shape, *workspace};
  }
  return {};
}

}  // namespace

bool attention_library(Session& session, const AttentionCall& c) {
  const std::optional<Chosen> chosen = choose(session, c);
  if (!chosen) return false;
  const auto& [shape, workspace] = *chosen;
  const std::int64_t q_cols = c.heads * c.head_dim, k_cols = c.kv_heads * c.head_dim;
  const auto number = sizeof(std::uint16_t);
  const auto keys = std::uint64_t(c.paged ? 0 : c.key_rows * k_cols) * number;
  const auto queries = std::uint64_t(c.rows * q_cols) * number;
  const auto sequences = std::uint64_t(shape.packed ? shape.batch + 1 : 0) * sizeof(std::int32_t);
  Pieces pieces;
  const std::uint64_t q_at = pieces.take(queries), out_at = pieces.take(queries),
                      k_at = pieces.take(keys), v_at = pieces.take(keys),
                      rows_at = pieces.take(sequences), keys_at = pieces.take(sequences),
                      row_offsets_at = pieces.take(sequences),
                      key_offsets_at = pieces.take(sequences),
                      table_at = pieces.take(std::uint64_t(shape.batch * shape.table_width()) *
                                             sizeof(std::int32_t)),
                      workspace_at = pieces.take(workspace);
  auto* const memory = static_cast<std::byte*>(session.scratch(pieces.bytes()));
  auto* const q = reinterpret_cast<std::uint16_t*>(memory + q_at);
  auto* const out = reinterpret_cast<std::uint16_t*>(memory + out_at);
  LibraryOperands operands{};
  operands.q = q;
  operands.out = out;
  operands.k = c.k;
  operands.v = c.v;
  operands.workspace = workspace > 0 ? memory + workspace_at : nullptr;
  narrow_rows(session, c.q, c.q_stride, c.rows, q_cols, q);
  if (!c.paged) {
    auto* const k = reinterpret_cast<std::uint16_t*>(memory + k_at);
    auto* const v = reinterpret_cast<std::uint16_t*>(memory + v_at);
    narrow_rows(session, static_cast<const float*>(c.k), c.k_stride, c.key_rows, k_cols, k);
    narrow_rows(session, static_cast<const float*>(c.v), c.v_stride, c.key_rows, k_cols, v);
    operands.k = k;
    operands.v = v;
  }
  if (shape.packed) {
    const auto array = [&](std::uint64_t at) {
      return reinterpret_cast<std::int32_t*>(memory + at);
    };
    const Packing packing{array(rows_at),
                          array(keys_at),
                          array(row_offsets_at),
                          c.paged ? nullptr : array(key_offsets_at),
                          c.paged ? array(table_at) : nullptr,
                          shape.batch,
                          shape.table_width()};
    dev::launch(session, pack, dev::Grid(blocks(shape.batch)), kThreads, 0, c, packing);
    operands.row_counts = packing.row_counts;
    operands.key_counts = packing.key_counts;
    operands.row_offsets = packing.row_offsets;
    operands.key_offsets = packing.key_offsets;
    operands.page_table = packing.page_table;
  }
  library_attend(session, shape, operands);
  dev::launch(session, widen, dev::Grid(unsigned(c.rows), blocks(q_cols)), kThreads, 0,
              static_cast<const std::uint16_t*>(out), q_cols, c.out, c.out_stride);
  return true;
}

}  // namespace chiasm::device
