// From indices or pixels to rows (kernels/embed.h).
#include "kernels/cuda/dev.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/weights.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 256;

/// Numbers of a row that the grid's second dimension covers.
unsigned pieces(std::int64_t cols) { return unsigned((cols + kThreads - 1) / kThreads); }

__device__ std::int64_t column() { return std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x; }

template <Format format>
__global__ void embed_rows(EmbedCall c) {
  const std::int64_t row = blockIdx.x, i = column() * 8;
  if (i >= c.table.in) return;
  float w[8] = {};
  if (c.ids[row] >= 0) read8<format>(c.table, c.ids[row], i, w);
  for (std::int64_t j = 0; j < 8 && i + j < c.table.in; j++) {
    const std::int64_t to = c.table.order != nullptr ? c.table.order[i + j] : i + j;
    c.y[row * c.y_stride + to] = w[j];
  }
}

/// One block row a patch; a thread one number of it: (channel, u, v).
__global__ void cut_patches(PatchesCall c) {
  const std::int64_t p = blockIdx.x, i = column(), area = c.patch * c.patch;
  if (i >= c.channels * area) return;
  const std::int64_t across = c.width / c.patch, channel = i / area;
  const std::int64_t y = p / across * c.patch + i % area / c.patch;
  const std::int64_t x = p % across * c.patch + i % c.patch;
  c.y[p * c.y_stride + i] = c.pixels[(channel * c.height + y) * c.width + x];
}

__global__ void normalise_patches(PictureCall c) {
  constexpr std::int64_t kChannels = 3, kLevels = 256;
  const std::int64_t p = blockIdx.x, i = column(), area = c.patch * c.patch;
  if (i >= kChannels * area) return;
  const std::int64_t across = c.width / c.patch, channel = i / area;
  const std::int64_t y = p / across * c.patch + i % area / c.patch;
  const std::int64_t x = p % across * c.patch + i % c.patch;
  const bool shown = y < c.valid_height && x < c.valid_width;
  const std::uint8_t byte = c.rgb[(y * c.width + x) * kChannels + channel];
  c.y[p * c.y_stride + i] = shown ? c.levels[channel * kLevels + byte] : 0.0f;
}

__global__ void shuffle_rows(ShuffleCall c) {
  const std::int64_t p = blockIdx.x, i = column();
  if (i >= c.dim * c.factor * c.factor) return;
  const std::int64_t across = c.width / c.factor, place = i / c.dim;
  const std::int64_t row = p / across * c.factor + place / c.factor;
  const std::int64_t col = p % across * c.factor + place % c.factor;
  const std::int64_t to = c.interleaved ? i % c.dim * c.factor * c.factor + place : i;
  c.y[p * c.y_stride + to] = c.x[(row * c.width + col) * c.x_stride + i % c.dim];
}

__global__ void cut_stretches(StretchesCall c) {
  const std::int64_t row = blockIdx.x, i = column();
  if (i >= c.channels * c.kernel) return;
  const std::int64_t t = row * c.stride + i % c.kernel - c.padding, channel = i / c.kernel;
  c.y[row * c.y_stride + i] = t >= 0 && t < c.frames ? c.x[t * c.x_stride + channel] : 0.0f;
}

__global__ void mean_rows(MeanCall c) {
  const std::int64_t row = blockIdx.x, i = column();
  if (i >= c.cols) return;
  float sum = 0;
  for (std::int64_t j = 0; j < c.joined; j++) {
    sum += c.x[c.from[row * c.joined + j] * c.x_stride + i];
  }
  c.y[row * c.y_stride + i] = sum * (1.0f / float(c.joined));
}

}  // namespace

void embed(Session& session, const EmbedCall& call) {
  if (call.rows == 0) return;
  with_format(call.table.format, [&]<Format format>() {
    dev::launch(session, embed_rows<format>,
                dev::Grid(unsigned(call.rows), pieces((call.table.in + 7) / 8)), kThreads, 0, call);
  });
}

void patches(Session& session, const PatchesCall& call) {
  const std::int64_t count = call.height / call.patch * (call.width / call.patch);
  if (count == 0) return;
  const std::int64_t cols = call.channels * call.patch * call.patch;
  dev::launch(session, cut_patches, dev::Grid(unsigned(count), pieces(cols)), kThreads, 0, call);
}

void picture(Session& session, const PictureCall& call) {
  const std::int64_t count = call.height / call.patch * (call.width / call.patch);
  if (count == 0) return;
  const dev::Grid grid(unsigned(count), pieces(3 * call.patch * call.patch));
  dev::launch(session, normalise_patches, grid, kThreads, 0, call);
}

void stretches(Session& session, const StretchesCall& call) {
  if (call.rows == 0) return;
  const dev::Grid grid(unsigned(call.rows), pieces(call.channels * call.kernel));
  dev::launch(session, cut_stretches, grid, kThreads, 0, call);
}

void mean(Session& session, const MeanCall& call) {
  if (call.rows == 0) return;
  dev::launch(session, mean_rows, dev::Grid(unsigned(call.rows), pieces(call.cols)), kThreads, 0,
              call);
}

void shuffle(Session& session, const ShuffleCall& call) {
  const std::int64_t count = call.height / call.factor * (call.width / call.factor);
  if (count == 0) return;
  const dev::Grid grid(unsigned(count), pieces(call.dim * call.factor * call.factor));
  dev::launch(session, shuffle_rows, grid, kThreads, 0, call);
}

}  // namespace chiasm::device
