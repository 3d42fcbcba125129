#include "core/device.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/error.h"

namespace chiasm {

namespace {

constexpr const char* kPluginFile = "libchiasm_cuda.so";

/// A plug-in as it was found. It stays loaded until the process ends: devices may be in use.
struct Plugin {
  const device::Table* table = nullptr;
  std::string path, missing;
};

/// The folder of the library or program that holds this function; empty where nobody knows.
std::filesystem::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&device_report), &info) == 0) return {};
  return std::filesystem::path(info.dli_fname).parent_path();
}

Plugin open_plugin(const std::string& path) {
  Plugin plugin;
  plugin.path = path;
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    plugin.missing = std::string("the plug-in cannot be loaded: ") + dlerror();
    return plugin;
  }
  const auto table_of =
      reinterpret_cast<device::TableFunction>(dlsym(library, device::kTableSymbol));
  if (table_of == nullptr) {
    plugin.missing = path + " is no plug-in of Chiasm: it lacks " + device::kTableSymbol;
    return plugin;
  }
  const device::Table* const table = table_of(device::kTableVersion);
  if (table == nullptr || table->version != device::kTableVersion ||
      table->bytes != sizeof(device::Table)) {
    plugin.missing = path + " is the plug-in of another version of Chiasm; build it again";
    return plugin;
  }
  plugin.table = table;
  return plugin;
}

/// The first of the places that may hold one.
Plugin find_plugin() {
  if (const char* named = std::getenv("CHIASM_CUDA_PLUGIN"); named != nullptr) {
    return open_plugin(named);
  }
  std::error_code ignored;
  const std::filesystem::path beside = own_folder() / kPluginFile;
  if (std::filesystem::exists(beside, ignored)) return open_plugin(beside.string());
  if (void* library = dlopen(kPluginFile, RTLD_NOW | RTLD_LOCAL); library != nullptr) {
    dlclose(library);
    return open_plugin(kPluginFile);
  }
  Plugin none;
  none.missing = std::string("the CUDA plug-in ") + kPluginFile +
                 " is missing; build Chiasm with -DCHIASM_CUDA=ON or name it in CHIASM_CUDA_PLUGIN";
  return none;
}

DeviceReport report_of(const Plugin& plugin, int index) {
  DeviceReport report;
  report.missing = plugin.missing;
  if (plugin.table == nullptr) {
    if (plugin.path != kPluginFile) report.plugin = plugin.path;
    return report;
  }
  report.plugin = plugin.path;
  report.build = plugin.table->build;
  report.emulated = plugin.table->emulated;
  device::Probe probe;
  plugin.table->probe(index, &probe);
  report.devices = probe.devices;
  report.memory_bytes = probe.memory_bytes;
  report.name = probe.name;
  report.missing = probe.missing;
  return report;
}

}  // namespace

DeviceReport device_report(int index) { return report_of(find_plugin(), index); }

Device::Device(int index) : shared_(std::make_shared<Shared>()), arena_(*this) {
  const Plugin plugin = find_plugin();
  report_ = report_of(plugin, index);
  if (!report_.usable()) {
    fail<DeviceError>("device \"cuda:", index, "\": ", report_.missing,
                      "; device=\"cpu\" runs without it");
  }
  table_ = plugin.table;
  index_ = index;
  check(table_->open(index, &session_), "opening the device");
}

Device::Device(const Device& first, const Lock&)
    : shared_(first.shared_),
      table_(first.table_),
      index_(first.index_),
      report_(first.report_),
      arena_(*this) {
  check(table_->open(index_, &session_), "opening another stream of the device");
  set_batch_invariant(first.batch_invariant_);
  if (first.attention_provider_ != attention_provider_) {
    set_attention_provider(first.attention_provider_);
  }
}

std::unique_ptr<Device> Device::lane() {
  const Lock held = lock();
  synchronize();  // the lane may read all weights that are there
  return std::unique_ptr<Device>(new Device(*this, held));
}

Device::~Device() {
  if (session_ == nullptr) return;
  arena_ = Arena();
  commands_.release();
  if (shared_.use_count() == 1) {
    while (!shared_->taken.empty()) {
      release(const_cast<std::byte*>(shared_->taken.begin()->first));
    }
  }
  table_->close(session_);
}

void Device::check(device::Status status, std::string_view what) const {
  switch (status) {
    case device::Status::ok:
      return;
    case device::Status::out_of_memory:
      fail<RequestError>("out of memory on the device: ", what, ": ", table_->error());
    case device::Status::unsupported:
    case device::Status::failed:
      break;
  }
  fail<DeviceError>(what, ": ", table_->error());
}

void Device::set_batch_invariant(bool wanted) {
  const Lock held = lock();
  check(table_->set_batch_invariant(session_, wanted), "choosing kernels");
  batch_invariant_ = wanted;
}

void Device::set_attention_provider(device::AttentionProvider provider) {
  const Lock held = lock();
  check(table_->set_attention_provider(session_, provider), "choosing whose attention serves");
  attention_provider_ = provider;
}

std::byte* Device::allocate(std::size_t bytes) {
  void* memory = nullptr;
  const device::Status status = table_->allocate(session_, bytes, &memory);
  if (status != device::Status::ok) check(status, std::to_string(bytes) + " bytes");
  const std::scoped_lock held(shared_->mutex);
  shared_->taken[static_cast<std::byte*>(memory)] = bytes;
  return static_cast<std::byte*>(memory);
}

void Device::release(std::byte* memory) noexcept {
  {
    const std::scoped_lock held(shared_->mutex);
    if (shared_->taken.erase(memory) == 0) return;
  }
  table_->release(session_, memory);
}

bool Device::owns(const void* address) const {
  const std::scoped_lock held(shared_->mutex);
  const auto* const at = static_cast<const std::byte*>(address);
  const auto after = shared_->taken.upper_bound(at);
  if (after == shared_->taken.begin()) return false;
  const auto& [begin, bytes] = *std::prev(after);
  return at < begin + std::max<std::size_t>(bytes, 1);
}

const std::byte* Device::known_constant(const void* host) const {
  const std::scoped_lock held(shared_->mutex);
  const auto known = shared_->constants.find(host);
  return known != shared_->constants.end() ? known->second : nullptr;
}

const std::byte* Device::constant(const void* host, std::span<const std::byte> as) {
  const Lock held = lock();
  if (const std::byte* known = known_constant(host); known != nullptr) return known;
  std::byte* const memory = allocate(as.size());
  // At once, even in a pass: nobody has read this memory yet.
  check(table_->upload(session_, memory, as.data(), as.size()), "copying weights to the device");
  const bool has_lanes = shared_.use_count() > 1;
  if (has_lanes) check(table_->synchronize(session_), "copying weights to the device");
  const std::byte* kept;
  {
    const std::scoped_lock all(shared_->mutex);
    kept = shared_->constants.try_emplace(host, memory).first->second;
  }
  if (kept != memory) release(memory);  // another lane was faster
  return kept;
}

void Device::upload(std::byte* to, std::span<const std::byte> from) {
  const Lock held = lock();
  if (commands_.stages(from.size())) {
    const std::byte* const staged = commands_.stage(from, "rows");
    return run(StagedCopy{to, staged, from.size()}, "copying to the device");
  }
  commands_.flush();
  check(table_->upload(session_, to, from.data(), from.size()), "copying to the device");
}

void Device::download(std::span<std::byte> to, const std::byte* from) {
  const Lock held = lock();
  commands_.flush();
  check(table_->download(session_, to.data(), from, to.size()), "copying from the device");
}

DeviceDownload Device::begin_download(const std::byte* from, std::size_t bytes) {
  const Lock held = lock();
  commands_.flush();
  device::Download* copy = nullptr;
  check(table_->begin_download(session_, from, bytes, &copy), "copying from the device");
  return {*this, copy, bytes};
}

DeviceDownload::DeviceDownload(DeviceDownload&& other) noexcept
    : device_(other.device_), copy_(std::exchange(other.copy_, nullptr)), bytes_(other.bytes_) {}

DeviceDownload::~DeviceDownload() {
  if (copy_ == nullptr) return;
  const Device::Lock held = device_->lock();
  device_->table().end_download(device_->session(), copy_, nullptr);
}

void DeviceDownload::take(std::span<std::byte> to) {
  if (copy_ == nullptr || to.size() != bytes_) {
    fail<ShapeError>("bytes from the device: ", to.size(), " of ", bytes_,
                     copy_ == nullptr ? ", which were taken before" : "");
  }
  const Device::Lock held = device_->lock();
  const device::Status status =
      device_->table().end_download(device_->session(), std::exchange(copy_, nullptr), to.data());
  device_->check(status, "copying from the device");
}

void Device::copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  const Lock held = lock();
  run(StagedCopy{to, from, bytes}, "copying inside the device");
}

void Device::synchronize() {
  const Lock held = lock();
  commands_.flush();
  check(table_->synchronize(session_), "waiting for the device");
}

}  // namespace chiasm
