#include <algorithm>
#include <cstdlib>
#include <memory>

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

struct Job {
  const GemmKernel& kernel;
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

// Rows are cut into tiles of nearly equal height: `tiles` of them over `rows`.
std::int64_t first_row(std::int64_t rows, std::int64_t tiles, std::int64_t tile) {
  return rows * tile / tiles;
}

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
  const std::int64_t bytes = job.w.panel_bytes(kPanel, job.w.padded_in());
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

// The sums of one tile become rows of y.
void finish_tile(const Job& job, const float* sums, std::int64_t row, int rows,
                 std::int64_t panel) {
  const std::int64_t col = panel * kPanel;
  const int cols = int(std::min<std::int64_t>(kPanel, job.w.out - col));
  const Epilogue& e = job.epilogue;
  job.kernel.finish({sums, job.w.scales(panel), e.bias != nullptr ? e.bias + col : nullptr,
                     job.y.row(row) + col, job.y.row_stride(), rows, cols, e.accumulate,
                     e.activation});
}

// Rows [row, row + rows) times the panels [panel, panel_end).
void multiply_block(const Job& job, std::int64_t row, std::int64_t rows, std::int64_t panel,
                    std::int64_t panel_end) {
  static thread_local Scratch scratch;
  const GemmKernel& kernel = job.kernel;
  const std::int64_t in = job.w.in, tiles = count_tiles(job, rows);
  const std::int64_t row_bytes = packed_bytes(job, job.w.padded_in());
  const std::int64_t all_bytes = (rows * row_bytes + kPackSlack + 63) / 64 * 64;
  std::byte* const memory =
      scratch.get(std::size_t(all_bytes + rows * kPanel * std::int64_t(sizeof(float))));
  float* const sums = reinterpret_cast<float*>(memory + all_bytes);

  const std::byte* packed = memory;
  if (rows == 1 && kernel.unit_inputs == 1 && kernel.unit_bytes == 4) {
    packed = reinterpret_cast<const std::byte*>(job.x.row(row));  // already in the right order
  } else {
    for (std::int64_t t = 0; t < tiles; t++) {
      const std::int64_t r = first_row(rows, tiles, t);
      kernel.pack_rows({job.x.row(row + r), job.x.row_stride(), in,
                        int(first_row(rows, tiles, t + 1) - r), memory + r * row_bytes});
    }
  }

  const std::int64_t block_in = block_inputs(job);
  for (; panel < panel_end; panel++) {
    const std::int64_t width = job.w.width(panel);
    for (std::int64_t k = 0; k < in; k += block_in) {
      const std::byte* b = job.w.panel(panel) + job.w.panel_bytes(width, k);
      const bool last = k + block_in >= in;
      for (std::int64_t t = 0; t < tiles; t++) {
        const std::int64_t r = first_row(rows, tiles, t);
        const int height = int(first_row(rows, tiles, t + 1) - r);
        if (last) prefetch_tile(job, row + r, height, panel);
        // The first tile brings the weights in, the others find them in the cache.
        const auto multiply = t == 0 ? kernel.stream : kernel.tile;
        multiply({packed + r * row_bytes + height * packed_bytes(job, k), b,
                  std::min(block_in, in - k), sums + r * kPanel, height, int(width), k > 0});
        if (last) finish_tile(job, sums + r * kPanel, row + r, height, panel);
      }
    }
  }
}

// Cuts `count` things into pieces of nearly equal size: two for each thread, or one where two would
// leave a thread with more to do. More would balance better, but each piece packs its rows anew.
std::int64_t balanced_grain(std::int64_t count, std::int64_t threads) {
  const std::int64_t share = (count + threads - 1) / threads;
  return share % 2 == 0 ? share / 2 : share;
}

}  // namespace

void gemm(const Context& ctx, const GemmKernel& kernel, const Matrix::Packed& w,
          TensorView<const float> x, const Epilogue& epilogue, TensorView<float> y) {
  const Job job{kernel, w, x, epilogue, y};
  const std::int64_t rows = x.rows(), panels = w.panels();
  const std::int64_t tiles = count_tiles(job, rows);
  const std::int64_t tile_bytes = kernel.tile_rows * packed_bytes(job, w.padded_in());
  const std::int64_t tiles_per_block = std::max<std::int64_t>(1, kBlockBytes / tile_bytes);
  const std::int64_t threads =
      std::clamp<std::int64_t>(rows * w.out * w.in / kMinProductsPerPiece, 1, ctx.pool->threads());

  // Many rows: each piece is a block of rows with all panels. Few rows: pieces share the panels.
  std::int64_t blocks = (tiles + tiles_per_block - 1) / tiles_per_block;
  std::int64_t groups = 1, grain = panels;
  if (tiles >= 4 * threads) {
    blocks = (blocks + threads - 1) / threads * threads;
  } else {
    grain = balanced_grain(panels, threads);
    groups = (panels + grain - 1) / grain;
  }
  const auto piece = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i++) {
      const std::int64_t first = first_row(rows, tiles, tiles * (i / groups) / blocks);
      const std::int64_t last = first_row(rows, tiles, tiles * (i / groups + 1) / blocks);
      const std::int64_t panel = i % groups * grain;
      multiply_block(job, first, last - first, panel, std::min(panel + grain, panels));
    }
  };
  ctx.pool->parallel_for(blocks * groups, threads > 1 ? 1 : blocks * groups, piece);
}

}  // namespace chiasm::kernels::cpu
