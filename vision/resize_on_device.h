#pragma once
/// Resizing by a device's kernel, to the bit as on the CPU.
#include "core/device.h"
#include "vision/resize_axis.h"

namespace chiasm::vision {

/// Pixels of a picture and of a part of it resized, as the CPU's steps in resize.cpp see them. An
/// axis that keeps its size is wanted as a whole.
struct DeviceResize {
  const std::uint8_t* rgb;  // [height, width, 3]
  std::int64_t width, height;
  AxisPart x, y;
  bool vertical_first;
};

/// Whether the picture is small enough for the device's scratch memory.
bool fits_device(const DeviceResize& resize);
/// out: [y.count, x.count, 3].
void resize_on_device(Device& device, const DeviceResize& resize, Filter filter, ResizeOrder order,
                      std::uint8_t* out);

}  // namespace chiasm::vision
