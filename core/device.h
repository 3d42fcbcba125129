#pragma once
/// A device of a plug-in (core/device_table.h): found, opened, and its memory.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/device_table.h"

namespace chiasm {

/// What this process can use, for `chiasm doctor`.
struct DeviceReport {
  std::string plugin;   // its file; empty where none was found
  std::string build;    // what it says of itself
  std::string name;     // of the device; empty where none is usable
  std::string missing;  // what is missing; empty where a device is usable
  int devices = 0;
  std::uint64_t memory_bytes = 0;
  bool emulated = false;
  bool usable() const { return missing.empty(); }
};

/// Looks for the plug-in and asks it about device `index`. Never throws.
/// The plug-in is the file that CHIASM_CUDA_PLUGIN names, else libchiasm_cuda.so beside the library
/// or program that this code is part of, else one that the loader finds.
DeviceReport device_report(int index = 0);

/// An open device. Not thread-safe: one model's loop owns it.
class Device {
 public:
  /// DeviceError that says what is missing.
  explicit Device(int index);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const device::Table& table() const { return *table_; }
  device::Session* session() const { return session_; }
  const DeviceReport& report() const { return report_; }

  /// RequestError with the size where memory is refused.
  std::byte* allocate(std::size_t bytes) const;
  void release(std::byte* memory) const noexcept;
  void upload(std::byte* to, std::span<const std::byte> from) const;
  void download(std::span<std::byte> to, const std::byte* from) const;
  void copy(std::byte* to, const std::byte* from, std::size_t bytes) const;

  /// Throws what a failed call means: RequestError for memory, else DeviceError; `what` was asked.
  void check(device::Status status, std::string_view what) const;

 private:
  const device::Table* table_ = nullptr;
  device::Session* session_ = nullptr;
  DeviceReport report_;
};

/// What `device=` of load options means: null for the CPU. "auto": the first device, or the CPU
/// where none is usable; "cpu"; "cuda" and "cuda:N": that device or a DeviceError that says what is
/// missing. RequestError for other words.
std::unique_ptr<Device> choose_device(std::string_view device);

}  // namespace chiasm
