#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu/choose.h"
#include "kernels/on_device.h"
#include "kernels/reference/attention.h"

namespace chiasm::kernels {

namespace {

static_assert(cpu::kKeyBlock == kPageTokens, "a block of keys is a page");
static_assert(cpu::kScaledDims == kPageGroup, "groups are those of pages");

// Below this many products a second thread costs more than it brings.
constexpr std::int64_t kMinThreadedProducts = 64 * 1024;
// Tiles of more pairs are enough work for a thread, and their partial sums too much memory.
constexpr std::int64_t kMaxSplitPairs = 16;

void check_shape(const AttentionShape& s) {
  if (s.heads < 1 || s.kv_heads < 1 || s.heads % s.kv_heads != 0) {
    fail<ShapeError>(s.heads, " heads do not share ", s.kv_heads, " KV heads evenly");
  }
  if (s.head_dim < 1 || s.head_dim > cpu::kMaxHeadDim) {
    fail<ShapeError>("head size ", s.head_dim, ", expected 1 to ", cpu::kMaxHeadDim);
  }
  if (!std::isfinite(s.scale) || !std::isfinite(s.softcap) || s.softcap < 0) {
    fail<ShapeError>("scale ", s.scale, " or softcap ", s.softcap, " is out of range");
  }
}

void check_keys(const AttentionShape& shape, const KeyValues& kv) {
  if (kv.paged()) {
    if (kv.v_pages == nullptr) fail<ShapeError>("pages of keys without pages of values");
    page_bytes(shape.kv_heads, shape.head_dim, kv.page_dtype);
    return;
  }
  kv.k.expect({kv.k.rows(), shape.kv_heads * shape.head_dim});
  kv.v.expect(kv.k.shape());
}

void check_sequence(const KeyValues& kv, const AttentionSequence& s, std::int64_t rows,
                    std::span<const std::int32_t> first_key,
                    std::span<const std::int32_t> last_key) {
  if (s.q_begin < 0 || s.q_count < 0 || s.q_begin + s.q_count > rows) {
    fail<ShapeError>("query rows [", s.q_begin, ", ", s.q_begin + s.q_count, ") of ", rows);
  }
  if (s.key_count < 0) fail<ShapeError>(s.key_count, " keys");
  if (kv.paged()) {
    if (s.pages == nullptr && s.key_count > 0) fail<ShapeError>("no page table");
  } else if (s.k_begin < 0 || s.k_begin + s.key_count > kv.k.rows()) {
    fail<ShapeError>("key rows [", s.k_begin, ", ", s.k_begin + s.key_count, ") of ", kv.k.rows());
  }
  for (std::int64_t r = s.q_begin; r < s.q_begin + s.q_count; r++) {
    const std::int32_t first = first_key[std::size_t(r)], last = last_key[std::size_t(r)];
    if (first < 0 || last > s.key_count) {
      fail<ShapeError>("row ", r, " sees keys [", first, ", ", last, ") of ", s.key_count);
    }
  }
}

cpu::RowFormat row_format(const KeyValues& kv) {
  if (!kv.paged() || kv.page_dtype == DType::f32) return cpu::RowFormat::f32;
  return kv.page_dtype == DType::bf16 ? cpu::RowFormat::bf16 : cpu::RowFormat::i8;
}

// Tiles of at most `most` pairs in one KV head of a sequence.
std::int64_t count_tiles(const AttentionShape& shape, const AttentionSequence& s,
                         std::int64_t most) {
  const std::int64_t pairs = s.q_count * (shape.heads / shape.kv_heads);
  return (pairs + most - 1) / most;
}

// Tile `index` of all sequences: by sequence, rows from the last ones down, then KV head. Causal
// rows cost the more the later they come, and what costs most is best begun first.
cpu::AttentionTile find_tile(const AttentionShape& shape,
                             std::span<const AttentionSequence> sequences, std::int64_t most,
                             std::int64_t index) {
  const std::int64_t group = shape.heads / shape.kv_heads;
  cpu::AttentionTile tile{};
  for (const AttentionSequence& s : sequences) {
    const std::int64_t tiles = count_tiles(shape, s, most);
    if (index >= tiles * shape.kv_heads) {
      index -= tiles * shape.kv_heads;
      continue;
    }
    tile.q_begin = s.q_begin;
    tile.k_begin = s.k_begin;
    tile.pages = s.pages;
    tile.kv_head = index % shape.kv_heads;
    tile.pair_begin = (tiles - 1 - index / shape.kv_heads) * most;
    tile.pairs = int(std::min(most, s.q_count * group - tile.pair_begin));
    tile.part = -1;
    break;
  }
  return tile;
}

// The size of a call: how much there is to do and in how many pieces it falls by itself.
struct Work {
  std::int64_t tiles = 0, products = 0, most_pairs = 0, parts = 0;
  std::int64_t tile_pairs = 0;  // of a full tile
};

Work measure(const AttentionShape& shape, std::span<const AttentionSequence> sequences,
             std::int64_t most) {
  Work w;
  w.tile_pairs = most;
  for (const AttentionSequence& s : sequences) {
    w.tiles += count_tiles(shape, s, most) * shape.kv_heads;
    w.products += s.q_count * s.key_count * shape.heads * shape.head_dim;
    if (s.q_count == 0) continue;
    const std::int64_t pairs = s.q_count * (shape.heads / shape.kv_heads);
    w.most_pairs = std::max(w.most_pairs, std::min(pairs, most));
    w.parts = std::max(w.parts, (s.key_count + cpu::kPartKeys - 1) / cpu::kPartKeys);
  }
  return w;
}

// The kernel of a call, with the memory of the thread it runs on.
class TileKernel {
 public:
  TileKernel(const Context& ctx, const AttentionShape& shape, const cpu::AttentionArgs& args)
      : bf16_(shape.bf16_products) {
    const cpu::CpuOps& ops = cpu::ops_for(ctx.isa);
    run_ = !bf16_                              ? ops.attention
           : args.format == cpu::RowFormat::i8 ? ops.attention_int8
           : shape.int8_scores && !args.paged  ? ops.attention_int8_scores
                                               : ops.attention_bf16;
  }

  void operator()(const cpu::AttentionArgs& args, cpu::AttentionTile tile) const {
    if (bf16_) tile.scratch = scratch();
    run_(args, tile);
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  // Kept from call to call, not zeroed: pages that a head size does not use are never touched.
  static void* scratch() {
    static thread_local const std::unique_ptr<Line[]> memory(
        new Line[cpu::kBf16ScratchBytes / sizeof(Line)]);
    return memory.get();
  }

  bool bf16_;
  void (*run_)(const cpu::AttentionArgs&, const cpu::AttentionTile&);
};

// Few rows with many keys: threads share the parts of the keys, then the parts are joined.
void run_in_parts(const Context& ctx, const AttentionShape& shape, const cpu::AttentionArgs& args,
                  std::span<const AttentionSequence> sequences, const Work& work) {
  // Grow-only: decoding a token allocates nothing.
  static thread_local std::vector<float> memory;
  const std::int64_t tile_floats =
      work.parts * work.most_pairs * cpu::partial_floats(shape.head_dim);
  const auto floats = std::size_t(work.tiles * tile_floats);
  if (memory.size() < floats) memory.resize(floats);
  float* const partial = memory.data();
  const TileKernel kernel(ctx, shape, args);
  const auto tile_of = [&](std::int64_t index) {
    cpu::AttentionTile tile = find_tile(shape, sequences, work.tile_pairs, index);
    tile.partial = partial + index * tile_floats;
    return tile;
  };
  ctx.pool->parallel_for(work.tiles * work.parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i++) {
      cpu::AttentionTile tile = tile_of(i / work.parts);
      tile.part = int(i % work.parts);
      kernel(args, tile);
    }
  });
  for (std::int64_t i = 0; i < work.tiles; i++) {
    cpu::ops_for(ctx.isa).join_attention(args, tile_of(i), int(work.parts));
  }
}

void run(const Context& ctx, const AttentionShape& shape, const cpu::AttentionArgs& args,
         std::span<const AttentionSequence> sequences) {
  const std::int64_t threads = ctx.pool->threads();
  Work work = measure(shape, sequences, cpu::tile_pairs(shape.head_dim, shape.bf16_products));
  // Large tiles only where they leave enough for every thread.
  while (work.most_pairs > cpu::kMaxTilePairs && work.tiles < 4 * threads) {
    work = measure(shape, sequences, work.tile_pairs / 2);
  }
  const bool threaded = threads > 1 && work.products >= kMinThreadedProducts;
  if (threaded && work.parts > 1 && work.tiles < 4 * threads && work.most_pairs <= kMaxSplitPairs) {
    return run_in_parts(ctx, shape, args, sequences, work);
  }
  const TileKernel kernel(ctx, shape, args);
  ctx.pool->parallel_for(work.tiles, threaded ? 1 : work.tiles,
                         [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t i = begin; i < end; i++) {
                             kernel(args, find_tile(shape, sequences, work.tile_pairs, i));
                           }
                         });
}

}  // namespace

void attention(const Context& ctx, const AttentionShape& asked, TensorView<const float> q,
               const KeyValues& kv, std::span<const AttentionSequence> sequences,
               std::span<const std::int32_t> first_key, std::span<const std::int32_t> last_key,
               TensorView<float> out) {
  const Timed timed(ctx.profile, "attention");
  in_context("attention", [&] {
    check_shape(asked);
    AttentionShape shape = asked;
    shape.bf16_products = asked.bf16_products && ctx.isa != Isa::reference &&
                          cpu::ops_for(ctx.isa).attention_bf16 != nullptr && has_avx512_bf16();
    const std::int64_t rows = q.rows();
    q.expect({rows, shape.heads * shape.head_dim});
    out.expect(q.shape());
    if (std::int64_t(first_key.size()) != rows || std::int64_t(last_key.size()) != rows) {
      fail<ShapeError>("key ranges of ", first_key.size(), " and ", last_key.size(), " rows, ",
                       rows, " expected");
    }
    check_keys(shape, kv);
    for (std::size_t i = 0; i < sequences.size(); i++) {
      in_context("sequence " + std::to_string(i),
                 [&] { check_sequence(kv, sequences[i], rows, first_key, last_key); });
    }
    if (ctx.device != nullptr) {
      if (kv.paged() && kv.page_dtype == DType::i8) on_device::refuse(ctx, "int8 attention");
      return on_device::attention(*ctx.device, asked, q, kv, sequences, first_key, last_key, out);
    }
    if (ctx.isa == Isa::reference) {
      return reference::attention(shape, q, kv, sequences, first_key, last_key, out);
    }
    const void* k = kv.paged() ? static_cast<const void*>(kv.k_pages) : kv.k.data();
    const void* v = kv.paged() ? static_cast<const void*>(kv.v_pages) : kv.v.data();
    const cpu::AttentionArgs args{q.data(),
                                  q.row_stride(),
                                  out.data(),
                                  out.row_stride(),
                                  first_key.data(),
                                  last_key.data(),
                                  shape.heads,
                                  shape.kv_heads,
                                  shape.head_dim,
                                  shape.scale,
                                  shape.softcap,
                                  k,
                                  v,
                                  kv.k.row_stride(),
                                  kv.v.row_stride(),
                                  kv.paged(),
                                  row_format(kv)};
    run(ctx, shape, args, sequences);
  });
}

}  // namespace chiasm::kernels
