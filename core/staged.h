#pragma once
/// Rows of the host beside their copies on the device that a forward pass runs on.
#include "core/device.h"

namespace chiasm {

/// Copies of all rows; any row strides, equal shapes.
void upload(Device& device, TensorView<const float> host, TensorView<float> rows);
void download(Device& device, TensorView<const float> rows, TensorView<float> host);

/// rows = 0.
void clear(const Context& ctx, TensorView<float> rows);

/// A forward pass: its scratch memory, which is the device's own or the caller's on the CPU, given
/// back at its end; and the device, which one pass has at a time. Passes do not nest. What a device
/// is asked for in one is done when results are brought back.
class Pass {
 public:
  Pass(const Context& ctx, Arena& host)
      : lock_(ctx.device != nullptr ? ctx.device->lock() : Device::Lock()),
        device_(ctx.device),
        arena_(ctx.device != nullptr ? ctx.device->arena() : host),
        frame_(arena_) {
    if (device_ != nullptr) device_->commands().open();
  }
  ~Pass() {
    if (device_ != nullptr) device_->commands().close();
  }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  Arena& arena() const { return arena_; }

 private:
  Device::Lock lock_;
  Device* device_;
  Arena& arena_;
  Arena::Frame frame_;
};

/// Rows of the host where operators can reach them: their copy in `arena` on a device, themselves
/// on the CPU. The copy is valid until the arena's enclosing frame ends.
template <class T>
TensorView<T> staged(const Context& ctx, TensorView<T> host, Arena& arena) {
  if (ctx.device == nullptr) return host;
  const TensorView<float> rows = arena.floats(host.shape(), host.name());
  upload(*ctx.device, host, rows);
  return rows;
}
/// As `staged`, for rows that are written before they are read.
inline TensorView<float> unwritten(const Context& ctx, TensorView<float> host, Arena& arena) {
  return ctx.device == nullptr ? host : arena.floats(host.shape(), host.name());
}
/// Brings `rows`, which came from one of the two above, back to the host.
inline void bring_back(const Context& ctx, TensorView<const float> rows, TensorView<float> host) {
  if (ctx.device != nullptr) download(*ctx.device, rows, host);
}

}  // namespace chiasm
