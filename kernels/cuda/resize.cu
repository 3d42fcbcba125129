// Resizing of pictures in fixed point, to the bit as vision/resize.h does it, and on to normalised
// patches: one launch an axis, the second of which writes what the encoder takes.
#include "kernels/cuda/dev.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kChannels = 3, kLevels = 256;

/// One axis of a picture: number i of its output is made of inputs `step` numbers apart.
__device__ std::uint8_t resized(const ResizeAxis& axis, const std::uint8_t* line, std::int64_t step,
                                std::int64_t i) {
  if (axis.first == nullptr) return line[i * step];
  const std::uint8_t* from = line + std::int64_t(axis.first[i]) * step;
  if (axis.weights == nullptr) return *from;  // the nearest
  const std::int32_t* weights = axis.weights + i * axis.stride;
  std::int32_t sum = 1 << (axis.bits - 1);
  for (std::int32_t k = 0; k < axis.count[i]; k++) sum += weights[k] * from[k * step];
  sum >>= axis.bits;
  return std::uint8_t(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/// The axis that comes first, as bytes [rows, row numbers].
__global__ void resize_first(ResizeCall c, std::uint8_t* out) {
  const std::int64_t row = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  const std::int64_t width = c.vertical_first ? c.width : c.x.count_out;
  if (i >= width * kChannels) return;
  const std::int64_t column = i / kChannels, channel = i % kChannels, stride = c.width * kChannels;
  const std::uint8_t value = c.vertical_first
                                 ? resized(c.y, c.rgb + i, stride, row)
                                 : resized(c.x, c.rgb + row * stride + channel, kChannels, column);
  out[row * width * kChannels + i] = value;
}

/// The byte of the resized picture from what the first axis made of it.
__device__ std::uint8_t resized_second(const ResizeCall& c, const std::uint8_t* between,
                                       std::int64_t y, std::int64_t x, std::int64_t channel) {
  const std::int64_t width = c.vertical_first ? c.width : c.x.count_out, stride = width * kChannels;
  return c.vertical_first ? resized(c.x, between + y * stride + channel, kChannels, x)
                          : resized(c.y, between + x * kChannels + channel, stride, y);
}

__global__ void resize_to_bytes(ResizeCall c, const std::uint8_t* between) {
  const std::int64_t y = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i >= c.x.count_out * kChannels) return;
  c.bytes[y * c.x.count_out * kChannels + i] =
      resized_second(c, between, y, i / kChannels, i % kChannels);
}

/// One block row a patch; a thread one number of it: (channel, u, v).
__global__ void resize_to_patches(ResizeCall c, const std::uint8_t* between) {
  const std::int64_t p = blockIdx.x, i = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  const std::int64_t area = c.patch * c.patch;
  if (i >= kChannels * area) return;
  const std::int64_t across = c.tile_width / c.patch, channel = i / area;
  const std::int64_t y = p / across * c.patch + i % area / c.patch;
  const std::int64_t x = p % across * c.patch + i % c.patch;
  const bool shown = y < c.y.count_out && x < c.x.count_out;
  float value = 0;
  if (shown) value = c.levels[channel * kLevels + resized_second(c, between, y, x, channel)];
  c.patches[p * c.patches_stride + i] = value;
}

unsigned pieces(std::int64_t numbers) { return unsigned((numbers + kThreads - 1) / kThreads); }

}  // namespace

void resize(Session& session, const ResizeCall& call) {
  const std::int64_t rows = call.vertical_first ? call.y.count_out : call.height;
  const std::int64_t width = call.vertical_first ? call.width : call.x.count_out;
  const std::uint8_t* between = call.rgb;
  const ResizeAxis& first = call.vertical_first ? call.y : call.x;
  if (first.first != nullptr) {  // else the axis keeps its size
    auto* const made =
        static_cast<std::uint8_t*>(session.scratch(std::uint64_t(rows * width * kChannels)));
    dev::launch(session, resize_first, dev::Grid(unsigned(rows), pieces(width * kChannels)),
                kThreads, 0, call, made);
    between = made;
  }
  if (call.bytes != nullptr) {
    dev::launch(session, resize_to_bytes,
                dev::Grid(unsigned(call.y.count_out), pieces(call.x.count_out * kChannels)),
                kThreads, 0, call, between);
  }
  if (call.patches == nullptr) return;
  const std::int64_t count = call.tile_height / call.patch * (call.tile_width / call.patch);
  dev::launch(session, resize_to_patches,
              dev::Grid(unsigned(count), pieces(kChannels * call.patch * call.patch)), kThreads, 0,
              call, between);
}

}  // namespace chiasm::device
