#pragma once
/// Bytes of the host that a device's kernels read.
#include <span>

#include "core/device.h"

namespace chiasm {

/// A copy of `numbers` in `arena`, which is the device's; it lasts to the end of the enclosing
/// frame.
template <class T>
const T* sent(Device& device, Arena& arena, std::span<const T> numbers) {
  constexpr std::size_t kFloat = sizeof(float);
  const auto bytes = std::as_bytes(numbers);
  const auto memory = arena.floats({std::int64_t((bytes.size() + kFloat - 1) / kFloat), 1}, "sent");
  auto* const to = reinterpret_cast<std::byte*>(memory.data());
  device.upload(to, bytes);
  return reinterpret_cast<const T*>(to);
}

}  // namespace chiasm
