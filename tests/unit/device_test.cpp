// The seam to a device plug-in: what is missing is said, and what is there is opened.
#include "core/device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/device_list.h"
#include "core/error.h"
#include "tests/support/emulated_failure.h"
#include "tests/support/expect_error.h"
#include "tests/support/plugin_variable.h"

namespace chiasm {
namespace {

using namespace chiasm::testing;

TEST(DeviceSeam, WithoutAPluginTheCpuRunsAndCudaSaysWhatIsMissing) {
  const PluginVariable none("/no/such/plugin.so");
  EXPECT_FALSE(device_report().usable());
  EXPECT_TRUE(choose_devices("auto").empty());
  EXPECT_TRUE(choose_devices("cpu").empty());
  for (const char* device : {"cuda", "cuda:0", "cuda:7"}) {
    EXPECT_TRUE(throws<DeviceError>([&] { choose_devices(device); },
                                    {"plug-in cannot be loaded", "/no/such/plugin.so", "cpu"}))
        << device;
  }
}

TEST(DeviceSeam, RefusesAForeignLibrary) {
  const PluginVariable libc("libc.so.6");
  EXPECT_NE(device_report().missing.find("no plug-in of Chiasm"), std::string::npos);
  EXPECT_TRUE(choose_devices("auto").empty());
}

TEST(DeviceSeam, RefusesUnknownWords) {
  for (const char* device : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CUDA"}) {
    EXPECT_TRUE(
        throws<RequestError>([&] { choose_devices(device); }, {"auto, cpu, cuda or cuda:N"}))
        << device;
  }
}

TEST(DeviceSeam, ListsNeedThePluginToo) {
  const PluginVariable none("/no/such/plugin.so");
  EXPECT_TRUE(choose_devices("auto").empty());
  EXPECT_TRUE(choose_devices("cpu").empty());
  for (const char* device : {"cuda", "cuda:7", "cuda:all", "cuda:0,cuda:1"}) {
    EXPECT_TRUE(throws<DeviceError>([&] { choose_devices(device); },
                                    {"plug-in cannot be loaded", "/no/such/plugin.so", "cpu"}))
        << device;
  }
}

TEST(DeviceSeam, RefusesListsThatMeanNothing) {
  for (const char* device : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CUDA", "cuda:0,",
                             ",cuda:0", "cuda:0,,cuda:1", "cuda:0;cuda:1", "cuda:99999999999"}) {
    EXPECT_TRUE(
        throws<RequestError>([&] { choose_devices(device); }, {"auto, cpu, cuda or cuda:N"}))
        << device;
  }
  for (const char* device : {"cuda:1,cuda:1", "cuda,cuda:0", "cuda:0,cuda:1, cuda:0"}) {
    EXPECT_TRUE(throws<RequestError>([&] { choose_devices(device); }, {"is named twice"}))
        << device;
  }
  for (const char* device : {"cuda:0,cpu", "cpu,cuda:0", "cpu,cpu"}) {
    EXPECT_TRUE(throws<RequestError>([&] { choose_devices(device); },
                                     {"cpu", "devices of one kind", "alone"}))
        << device;
  }
  for (const char* device : {"cuda:0,auto", "auto,cuda:1", "cuda:all,cuda:0"}) {
    EXPECT_TRUE(throws<RequestError>([&] { choose_devices(device); }, {"give it alone"})) << device;
  }
}

#ifdef CHIASM_EMULATED_PLUGIN
std::span<const std::byte> bytes_of(const std::vector<int>& v) {
  return std::as_bytes(std::span(v));
}

TEST(EmulatedDevice, IsReportedAndOpened) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  const DeviceReport report = device_report();
  EXPECT_TRUE(report.usable()) << report.missing;
  EXPECT_TRUE(report.emulated);
  EXPECT_EQ(report.plugin, CHIASM_EMULATED_PLUGIN);
  EXPECT_EQ(report.devices, 2);
  EXPECT_FALSE(choose_devices("auto").empty());
  EXPECT_TRUE(throws<DeviceError>([] { choose_devices("cuda:3"); }, {"cuda:3", "no such device"}));
}

std::vector<std::string> words_of(std::string_view list) {
  std::vector<std::string> out;
  for (const ListedDevice& listed : choose_devices(list)) out.push_back(listed.word);
  return out;
}

TEST(EmulatedDevice, ListsOpenTheirDevicesInOrder) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  using Words = std::vector<std::string>;
  EXPECT_EQ(words_of("cuda"), Words{"cuda:0"});
  EXPECT_EQ(words_of("cuda:1, cuda:0"), (Words{"cuda:1", "cuda:0"}));
  EXPECT_EQ(words_of("cuda:all"), (Words{"cuda:0", "cuda:1"}));
  EXPECT_TRUE(throws<DeviceError>([] { choose_devices("cuda:0,cuda:2"); },
                                  {"cuda:2", "no such device: this machine has 2"}));
}

TEST(EmulatedDevice, MemoryIsOneDevicesAlone) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  Device first(0), second(1);
  std::byte* const memory = first.allocate(64);
  EXPECT_TRUE(first.owns(memory));
  EXPECT_FALSE(second.owns(memory));
  first.release(memory);
}

TEST(EmulatedDevice, OneThatIsLostLeavesTheOtherAlone) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  Device first(0), second(1);
  {
    const EmulatedFailure lost(CHIASM_EMULATED_PLUGIN, 1);
    lost.begin("fell off the bus");
    EXPECT_TRUE(throws<DeviceError>([&] { second.allocate(16); }, {"fell off the bus"}));
    EXPECT_TRUE(throws<DeviceError>([&] { second.synchronize(); }, {"fell off the bus"}));
    first.synchronize();
    first.release(first.allocate(16));
  }
  second.synchronize();
}

TEST(EmulatedDevice, KeepsWhatIsUploaded) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  const auto device = std::make_unique<Device>(0);
  const std::vector<int> want{1, 2, 3, 4, 5};
  const auto source = bytes_of(want);
  std::byte* const a = device->allocate(source.size());
  std::byte* const b = device->allocate(source.size());
  EXPECT_NE(a, b);
  device->upload(a, source);
  device->copy(b, a, source.size());
  std::vector<int> got(want.size());
  device->download(std::as_writable_bytes(std::span(got)), b);
  EXPECT_EQ(got, want);
  device->release(a);
  device->release(b);
}

TEST(EmulatedDevice, RefusesMemoryThatItLacksAndLivesOn) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  const auto device = std::make_unique<Device>(0);
  EXPECT_TRUE(throws<RequestError>([&] { device->allocate(std::size_t(1) << 40); },
                                   {"1099511627776 bytes", "full"}));
  device->release(device->allocate(16));
}

TEST(EmulatedDevice, LanesShareMemoryAndWeights) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  const auto device = std::make_unique<Device>(0);
  const std::vector<int> early{1, 2, 3}, late{4, 5, 6, 7};
  const std::byte* const before = device->constant(early.data(), bytes_of(early));
  const auto lane = device->lane();
  EXPECT_NE(lane->session(), device->session());
  EXPECT_EQ(lane->constant(early.data(), bytes_of(early)), before);
  // Uploaded by one, read by the other at once.
  const std::byte* const weights = lane->constant(late.data(), bytes_of(late));
  EXPECT_EQ(device->known_constant(late.data()), weights);
  EXPECT_TRUE(device->owns(weights));
  std::vector<int> got(late.size());
  device->download(std::as_writable_bytes(std::span(got)), weights);
  EXPECT_EQ(got, late);
  std::byte* const memory = lane->allocate(8);
  EXPECT_TRUE(device->owns(memory));
  lane->release(memory);
  EXPECT_FALSE(device->owns(memory));
}

TEST(EmulatedDeviceDeathTest, HostsCannotTouchItsMemory) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  const auto device = std::make_unique<Device>(0);
  volatile std::byte* const memory = device->allocate(16);
  EXPECT_DEATH(memory[0] = std::byte(1), "");
  device->release(const_cast<std::byte*>(memory));
}

TEST(EmulatedDeviceDeathTest, KernelsCannotTouchAnotherDevicesMemory) {
  const PluginVariable emulated(CHIASM_EMULATED_PLUGIN);
  Device first(0), second(1);
  device::PointwiseCall call{};
  call.kind = device::PointwiseCall::scale_by;
  call.y = reinterpret_cast<float*>(first.allocate(16));
  call.rows = 1;
  call.cols = call.y_stride = 4;
  call.factor = 2;
  const auto scale = [&](Device& device) {
    device.run(call, "scaling");
    device.synchronize();
  };
  scale(first);
  EXPECT_DEATH(scale(second), "");
}
#endif

}  // namespace
}  // namespace chiasm
