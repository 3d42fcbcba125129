#include "vision/resize_on_device.h"

#include "core/sent.h"
#include "core/staged.h"

namespace chiasm::vision {

namespace {

constexpr std::int64_t kMostBytes = std::int64_t(256) << 20;

template <class W>
device::ResizeAxis filtered(Device& device, std::int64_t in, const AxisPart& part, Filter filter) {
  const Axis<W> axis = make_axis<W>(in, part, filter);
  const std::vector<std::int32_t> weights(axis.weights.begin(), axis.weights.end());
  device::ResizeAxis out{};
  out.first = sent(device, device.arena(), std::span<const std::int32_t>(axis.first));
  out.count = sent(device, device.arena(), std::span<const std::int32_t>(axis.count));
  out.weights = sent(device, device.arena(), std::span<const std::int32_t>(weights));
  out.stride = axis.stride;
  out.bits = axis.bits;
  return out;
}

device::ResizeAxis axis_of(Device& device, std::int64_t in, const AxisPart& part, Filter filter,
                           ResizeOrder order) {
  device::ResizeAxis out{};
  if (in != part.whole) {
    if (filter == Filter::nearest) {
      out.first = sent(device, device.arena(),
                       std::span<const std::int32_t>(nearest_pixels(in, part, order)));
    } else if (order == ResizeOrder::torchvision) {
      out = filtered<std::int16_t>(device, in, part, filter);
    } else {
      out = filtered<std::int32_t>(device, in, part, filter);
    }
  }
  out.count_out = part.count;
  return out;
}

}  // namespace

bool fits_device(const DeviceResize& r) {
  const std::int64_t most =
      std::max(r.width * r.height, r.vertical_first ? r.width * r.y.count : r.height * r.x.count);
  return 3 * std::max(most, r.x.count * r.y.count) <= kMostBytes;
}

void resize_on_device(Device& device, const DeviceResize& r, Filter filter, ResizeOrder order,
                      std::uint8_t* out) {
  Context ctx;
  ctx.device = &device;
  Arena unused;
  const Pass pass(ctx, unused);
  constexpr std::int64_t kFloat = sizeof(float);
  const std::int64_t bytes = r.x.count * r.y.count * 3;
  const auto made = pass.arena().floats({(bytes + kFloat - 1) / kFloat, 1}, "resized");
  device::ResizeCall call{};
  call.rgb = sent(device, device.arena(), std::span(r.rgb, std::size_t(r.width * r.height * 3)));
  call.height = r.height;
  call.width = r.width;
  call.x = axis_of(device, r.width, r.x, filter, order);
  call.y = axis_of(device, r.height, r.y, filter, order);
  call.vertical_first = r.vertical_first;
  call.bytes = reinterpret_cast<std::uint8_t*>(made.data());
  device.run(call, "resize");
  device.download(std::as_writable_bytes(std::span(out, std::size_t(bytes))),
                  reinterpret_cast<const std::byte*>(made.data()));
}

}  // namespace chiasm::vision
