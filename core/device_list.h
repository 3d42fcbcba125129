#pragma once
/// From what `device=` says to open devices.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/device.h"

namespace chiasm {

/// An open device, and the word that names it: "cuda:1".
struct ListedDevice {
  std::string word;
  std::unique_ptr<Device> device;
};

/// The devices that load options name; none for the CPU:
///   "auto"            the first device, or the CPU where none is usable
///   "cpu"
///   "cuda", "cuda:N"  that device
///   "cuda:all"        every usable device
///   "cuda:0,cuda:2"   these, in this order
/// DeviceError says which device is missing, and why. RequestError for other words, for a device
/// that is named twice and for lists with "auto", "cpu" or "cuda:all" among others.
std::vector<ListedDevice> choose_devices(std::string_view words);

}  // namespace chiasm
