#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>

#include "kernels/cpu/choose.h"
#include "kernels/cpu/gemm_driver.h"
#include "kernels/cpu/packed.h"
#include "kernels/cpu/quant_layout.h"

namespace chiasm::kernels::cpu {

namespace {

// Weights of one panel that stay in the first-level cache while rows pass by.
constexpr std::int64_t kBlockWeights = 27 * 1024;
// Packed activations of one block of rows, meant for the second-level cache beside the weights.
constexpr std::int64_t kBlockBytes = 384 * 1024;
// Below this many products a second thread costs more than it brings.
constexpr std::int64_t kMinProductsPerPiece = 64 * 1024;
// Activations that a thread packs for others: 4 microseconds, twice what waking it costs.
constexpr std::int64_t kMinPackedPerPiece = 16 * 1024;
// A thread's share of a product, so that one that is held up leaves work to the others: more pieces
// would stop more often to bring in weights. Of few panels it stays whole.
constexpr std::int64_t kPieces = 2, kMinPiecePanels = 32;
// Shares of the panels in which threads help each other at the end.
constexpr std::int64_t kShares = 12;
// Panels of a gate between those of its partner, where many rows pass by.
constexpr std::int64_t kGatesTogether = 4;

struct Job {
  const GemmKernel& kernel;
  const CpuOps& ops;
  const Matrix::Packed& w;
  TensorView<const float> x;
  const Epilogue& epilogue;
  TensorView<float> y;
};

// Grow-only memory of one thread: at most one block of packed activations and its sums.
class Scratch {
 public:
  std::byte* get(std::size_t bytes) {
    if (bytes > size_) {
      data_.reset();
      size_ = 0;
      const std::size_t rounded = (bytes + 4095) / 4096 * 4096;
      data_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
      if (!data_) fail<RequestError>("out of memory: ", rounded, " bytes of scratch for linear");
      size_ = rounded;
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

std::int64_t count_tiles(const Job& job, std::int64_t rows) {
  return (rows + job.kernel.tile_rows - 1) / job.kernel.tile_rows;
}

// Bytes that so many inputs of one packed row take.
std::int64_t packed_bytes(const Job& job, std::int64_t inputs) {
  const std::int64_t unit = job.kernel.unit_inputs;
  return (inputs + unit - 1) / unit * job.kernel.unit_bytes;
}

// Inputs of one block: K is cut into blocks of nearly equal size. Cut at the same places for every
// number of rows; cutting changes no bit anyway (see Tile).
std::int64_t block_inputs(const Job& job) {
  const std::int64_t bytes = job.w.form() ? job.w.in * kPanel * std::int64_t(sizeof(float))
                                          : job.w.panel_bytes(kPanel, job.w.padded_in());
  const std::int64_t blocks = (bytes + kBlockWeights - 1) / kBlockWeights;
  const std::int64_t share = (job.w.in + blocks - 1) / blocks;
  const std::int64_t unit = std::max(kGroup, job.kernel.unit_inputs);
  return (share + unit - 1) / unit * unit;
}

// Asks for what finish_tile will write while the tile is still being multiplied: the rows of y lie
// far from one another, and each would be waited for.
void prefetch_tile(const Job& job, std::int64_t row, int rows, std::int64_t panel) {
  const std::int64_t col = panel * kPanel;
  for (int r = 0; r < rows; r++) {
    const float* const y = job.y.row(row + r) + col;
    __builtin_prefetch(y, 1);
    __builtin_prefetch(y + kLanes, 1);
  }
}

// The panel of y that a panel of weights goes into: a gate's and its partner's are one.
std::int64_t column_of(const Job& job, std::int64_t panel) {
  return job.epilogue.gated ? panel % (job.w.panels() / 2) : panel;
}

// The sums of one tile become rows of y. Those of a gate stand there until their partner's are
// multiplied with them.
void finish_tile(const Job& job, const float* sums, std::int64_t row, int rows,
                 std::int64_t panel) {
  const std::int64_t first = panel * kPanel, column = column_of(job, panel);
  const int cols = int(std::min<std::int64_t>(kPanel, job.w.out - first));
  const Epilogue& e = job.epilogue;
  const bool partner = column != panel;
  job.kernel.finish({sums, job.w.scales(panel), e.bias != nullptr ? e.bias + first : nullptr,
                     job.y.row(row) + column * kPanel, job.y.row_stride(), rows, cols, e.accumulate,
                     partner, partner ? Activation::none : e.activation});
}

// Rows cut into tiles of nearly equal height: the first ones are a row higher. Divisions are made
// once, since tiles come by for every block of weights.
class Cut {
 public:
  Cut(std::int64_t rows, std::int64_t tiles)
      : tiles_(tiles), height_(rows / tiles), higher_(rows % tiles) {}
  std::int64_t tiles() const { return tiles_; }
  std::int64_t first(std::int64_t tile) const { return tile * height_ + std::min(tile, higher_); }
  std::int64_t height(std::int64_t tile) const { return height_ + (tile < higher_ ? 1 : 0); }

 private:
  std::int64_t tiles_, height_, higher_;
};

// Tiles [begin, end) of a cut, packed one behind the other.
struct Block {
  const Cut& cut;
  std::int64_t begin, end;
  const std::byte* packed = nullptr;
  std::int64_t row() const { return cut.first(begin); }
  std::int64_t rows() const { return cut.first(end) - row(); }
};

// Memory for packed tiles. Kernels write behind a tile, which may be packed after the next one: so
// each has its own slack.
std::int64_t block_bytes(const Job& job, const Block& block) {
  return block.rows() * packed_bytes(job, job.w.padded_in()) +
         (block.end - block.begin) * kPackSlack;
}

// Packs tiles [begin, end) of a block into `memory` for all of it.
void pack_tiles(const Job& job, const Block& block, std::int64_t begin, std::int64_t end,
                std::byte* memory) {
  const std::int64_t row_bytes = packed_bytes(job, job.w.padded_in());
  for (std::int64_t t = begin; t < end; t++) {
    const std::int64_t row = block.cut.first(t);
    job.kernel.pack_rows(
        {job.x.row(row), job.x.row_stride(), job.w.in, int(block.cut.height(t)),
         memory + (row - block.row()) * row_bytes + (t - block.begin) * kPackSlack});
  }
}

// Inputs [k, k + inputs) of a panel as the kernel takes them: widened into `memory` where the
// weights are of a block form, else where they lie.
const std::byte* weights_of(const Job& job, std::int64_t panel, std::int64_t k, std::int64_t inputs,
                            Scratch& memory) {
  const std::int64_t width = job.w.width(panel);
  const auto form = job.w.form();
  if (!form) return job.w.panel(panel) + job.w.panel_bytes(width, k);
  std::byte* const wide = memory.get(std::size_t(inputs * width) * sizeof(float));
  job.ops.widen_blocks(
      *form, {job.w.panel(panel), k, k + inputs, int(width), reinterpret_cast<float*>(wide)});
  return wide;
}

// A block times the panels [panel, panel_end). Each tile after the first asks for a share of the
// weights that come next.
void multiply_block(const Job& job, const Block& block, std::int64_t panel,
                    std::int64_t panel_end) {
  static thread_local Scratch scratch, wide;
  const GemmKernel& kernel = job.kernel;
  const bool widens = job.w.form().has_value();
  const std::int64_t in = job.w.in, block_in = block_inputs(job);
  const std::int64_t row_bytes = packed_bytes(job, job.w.padded_in());
  const std::int64_t first = block.row(), later_tiles = block.end - block.begin - 1;
  float* const sums = reinterpret_cast<float*>(
      scratch.get(std::size_t(block.rows() * kPanel * std::int64_t(sizeof(float)))));
  for (; panel < panel_end; panel++) {
    const std::int64_t width = job.w.width(panel);
    for (std::int64_t k = 0; k < in; k += block_in) {
      const std::int64_t inputs = std::min(block_in, in - k), skipped = packed_bytes(job, k);
      const std::byte* const b = weights_of(job, panel, k, inputs, wide);
      const std::int64_t bytes = widens ? 0 : job.w.panel_bytes(width, inputs);
      const bool last = k + block_in >= in, next = !last || panel + 1 < panel_end;
      const std::int64_t share = later_tiles > 0 && next ? bytes / later_tiles : 0;
      Fetch fetch{b + bytes, 0};
      for (std::int64_t t = block.begin; t < block.end; t++) {
        const std::int64_t row = block.cut.first(t), r = row - first;
        const int height = int(block.cut.height(t));
        if (last) prefetch_tile(job, row, height, column_of(job, panel));
        // The first tile brings the weights in, the others find them in the cache.
        const auto multiply = t == block.begin && !widens ? kernel.stream : kernel.tile;
        const std::byte* const a =
            block.packed + r * row_bytes + height * skipped + (t - block.begin) * kPackSlack;
        multiply({a, b, inputs, sums + r * kPanel, height, int(width), k > 0, fetch});
        if (last) finish_tile(job, sums + r * kPanel, row, height, panel);
        fetch = {b + bytes + (t - block.begin) * share, share};
      }
    }
  }
}

// A block times what goes into the panels [column, column_end) of y. Of a gated product `together`
// panels of the gate come before their partners, so that weights stream in long runs and y is still
// in a cache.
void multiply_columns(const Job& job, const Block& block, std::int64_t column,
                      std::int64_t column_end, std::int64_t together) {
  if (!job.epilogue.gated) return multiply_block(job, block, column, column_end);
  const std::int64_t partners = job.w.panels() / 2;
  for (; column < column_end; column += together) {
    const std::int64_t end = std::min(column + together, column_end);
    multiply_block(job, block, column, end);
    multiply_block(job, block, partners + column, partners + end);
  }
}

// A block of rows on its way through the panels.
struct Piece {
  std::atomic<const std::byte*> packed = nullptr;
  std::atomic<std::int64_t> next = 0;  // the first panel of y that nobody has taken
};

// Many rows: a thread packs a block of rows, as large as the cache allows, and takes it through all
// panels; one that finds no more to pack helps the others with theirs, some panels at a time.
// Smaller blocks share work too but bring in weights more often: 3 to 5 % slower.
void multiply_by_rows(const Context& ctx, const Job& job, std::int64_t threads) {
  static thread_local std::deque<Piece> memory;  // grow-only
  const Cut cut(job.x.rows(), count_tiles(job, job.x.rows()));
  const std::int64_t most = std::max<std::int64_t>(
      1, kBlockBytes / (job.kernel.tile_rows * packed_bytes(job, job.w.padded_in())));
  const std::int64_t blocks = (cut.tiles() + most - 1) / most;
  const std::int64_t pieces = (blocks + threads - 1) / threads * threads;
  const std::int64_t columns = job.w.panels() / (job.epilogue.gated ? 2 : 1);
  const std::int64_t step = threads > 1 ? std::max<std::int64_t>(1, columns / kShares) : columns;
  while (std::ssize(memory) < pieces) memory.emplace_back();
  std::deque<Piece>& all = memory;  // the caller's, whoever works on it
  for (std::int64_t i = 0; i < pieces; i++) {
    all[std::size_t(i)].packed = nullptr;
    all[std::size_t(i)].next = 0;
  }
  const auto block_of = [&](std::int64_t i) {
    return Block{cut, cut.tiles() * i / pieces, cut.tiles() * (i + 1) / pieces};
  };
  const auto advance = [&](Piece& piece, Block block) {
    block.packed = piece.packed;
    if (block.packed == nullptr) return;  // its thread has only just begun
    for (std::int64_t column; (column = piece.next.fetch_add(step)) < columns;) {
      multiply_columns(job, block, column, std::min(column + step, columns), kGatesTogether);
    }
  };
  std::atomic<std::int64_t> unpacked = 0;
  ctx.pool->parallel_for(threads, 1, [&](std::int64_t, std::int64_t) {
    static thread_local Scratch scratch;  // others read it until the last of them is done
    for (std::int64_t i; (i = unpacked++) < pieces;) {
      const Block block = block_of(i);
      std::byte* const packed = scratch.get(std::size_t(block_bytes(job, block)));
      pack_tiles(job, block, block.begin, block.end, packed);
      all[std::size_t(i)].packed = packed;
      advance(all[std::size_t(i)], block);
    }
    for (std::int64_t i = 0; i < pieces; i++) advance(all[std::size_t(i)], block_of(i));
  });
}

// Few rows: packed once, then pieces share the panels.
void multiply_by_panels(const Context& ctx, const Job& job, std::int64_t threads) {
  static thread_local Scratch scratch;
  const std::int64_t rows = job.x.rows(), panels = job.w.panels();
  const Cut cut(rows, count_tiles(job, rows));
  Block block{cut, 0, cut.tiles()};
  if (rows == 1 && job.kernel.unit_inputs == 1 && job.kernel.unit_bytes == 4) {
    block.packed = reinterpret_cast<const std::byte*>(job.x.data());  // already in the right order
  } else {
    std::byte* const memory = scratch.get(std::size_t(block_bytes(job, block)));
    const std::int64_t tile_values = job.kernel.tile_rows * job.w.in;
    const std::int64_t grain =
        threads > 1 ? (kMinPackedPerPiece + tile_values - 1) / tile_values : cut.tiles();
    ctx.pool->parallel_for(cut.tiles(), grain, [&](std::int64_t begin, std::int64_t end) {
      pack_tiles(job, block, begin, end, memory);
    });
    block.packed = memory;
  }
  const std::int64_t columns = panels / (job.epilogue.gated ? 2 : 1);
  const std::int64_t pieces =
      std::min(columns, threads * (panels >= kMinPiecePanels * threads ? kPieces : 1));
  ctx.pool->parallel_for(
      pieces, threads > 1 ? 1 : pieces, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; i++) {
          multiply_columns(job, block, columns * i / pieces, columns * (i + 1) / pieces, columns);
        }
      });
}

}  // namespace

void gemm(const Context& ctx, const GemmKernel& kernel, const Matrix::Packed& w,
          TensorView<const float> x, const Epilogue& epilogue, TensorView<float> y) {
  const Job job{kernel, ops_for(ctx.isa), w, x, epilogue, y};
  const std::int64_t threads = std::clamp<std::int64_t>(
      x.rows() * w.out * w.in / kMinProductsPerPiece, 1, ctx.pool->threads());
  if (count_tiles(job, x.rows()) >= 4 * threads) return multiply_by_rows(ctx, job, threads);
  multiply_by_panels(ctx, job, threads);
}

}  // namespace chiasm::kernels::cpu
