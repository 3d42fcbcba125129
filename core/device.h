#pragma once
/// A device of a plug-in (core/device_table.h): found, opened, and its memory.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/device_commands.h"
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

class Device;

/// Bytes on their way from a device to the host, see Device::begin_download. Does not outlive it.
class DeviceDownload {
 public:
  DeviceDownload(Device& device, device::Download* copy, std::size_t bytes)
      : device_(&device), copy_(copy), bytes_(bytes) {}
  /// Gives up what was not taken, without waiting for it.
  ~DeviceDownload();
  DeviceDownload(DeviceDownload&& other) noexcept;
  DeviceDownload& operator=(DeviceDownload&&) = delete;

  /// Waits for them, not for what the device was asked for later. `to` is as long as they are;
  /// once.
  void take(std::span<std::byte> to);

 private:
  Device* device_;
  device::Download* copy_;  // null once it was taken
  std::size_t bytes_;
};

/// An open device. Each function may be called by any thread; a forward pass keeps the lock, so
/// that what its operators are given stays valid. Memory is taken and given back without it.
class Device {
 public:
  /// DeviceError that says what is missing.
  explicit Device(int index);
  ~Device();
  /// A lane: a stream of its own on this device, with the scratch memory, the calls and the graphs
  /// of its own passes, which run beside those of this one. Memory and weights are shared; what one
  /// lane wrote another may read once the first has waited for it (`download`, `synchronize`).
  /// Memory that was taken through a lane is given back through it.
  std::unique_ptr<Device> lane();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  using Lock = std::unique_lock<std::recursive_mutex>;
  Lock lock() const { return Lock(mutex_); }

  const device::Table& table() const { return *table_; }
  device::Session* session() const { return session_; }
  const DeviceReport& report() const { return report_; }

  /// See device::Table::set_batch_invariant. Before the first pass.
  void set_batch_invariant(bool wanted);
  /// See device::Table::set_attention_provider; DeviceError says what is missing.
  void set_attention_provider(device::AttentionProvider provider);
  /// RequestError with the size where memory is refused.
  std::byte* allocate(std::size_t bytes);
  void release(std::byte* memory) noexcept;
  /// Whether the address lies in memory of this device.
  bool owns(const void* address) const;
  /// In a pass, after all that it asked for before.
  void upload(std::byte* to, std::span<const std::byte> from);
  /// Does what a pass has asked for, and waits for it.
  void download(std::span<std::byte> to, const std::byte* from);
  /// Does what a pass has asked for, and waits for nothing: brings what `from` holds then.
  DeviceDownload begin_download(const std::byte* from, std::size_t bytes);
  void copy(std::byte* to, const std::byte* from, std::size_t bytes);
  /// Does what a pass has asked for, and waits for it.
  void synchronize();

  /// Scratch memory of a forward pass.
  Arena& arena() { return arena_; }

  /// The device's copy of weights that lie in the host's memory, made at the first call. They are
  /// told by their address: they must never change or move while this device is open.
  const std::byte* constant(const void* host, std::size_t bytes) {
    return constant(host, {static_cast<const std::byte*>(host), bytes});
  }
  /// Likewise for weights that another layout stands for on the device.
  const std::byte* constant(const void* host, std::span<const std::byte> as);
  /// Null where there is none yet.
  const std::byte* known_constant(const void* host) const;
  /// See DeviceCommands::stage.
  const std::byte* resident(std::span<const std::byte> numbers, std::string_view kind = {}) {
    return commands_.stage(numbers, kind);
  }
  /// Makes a call of the table, at the end of the pass within one.
  void run(const DeviceCall& call, std::string_view name) { commands_.add(call, name); }
  DeviceCommands& commands() { return commands_; }

  /// Throws what a failed call means: RequestError for memory, else DeviceError; `what` was asked.
  void check(device::Status status, std::string_view what) const;

 private:
  /// What all lanes of a device have in common.
  struct Shared {
    std::mutex mutex;
    std::map<const std::byte*, std::size_t> taken;  // bytes
    std::map<const void*, const std::byte*> constants;
  };
  Device(const Device& first, const Lock& held);

  mutable std::recursive_mutex mutex_;
  std::shared_ptr<Shared> shared_;
  const device::Table* table_ = nullptr;
  device::Session* session_ = nullptr;
  int index_ = 0;
  DeviceReport report_;
  bool batch_invariant_ = false;
  device::AttentionProvider attention_provider_ = device::AttentionProvider::own;
  // After all that giving memory back needs.
  DeviceCommands commands_{*this};
  Arena arena_;
};

}  // namespace chiasm
