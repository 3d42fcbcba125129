// What a card would find late or never: the emulated device must refuse it, and say why.
#include <string_view>

#include "core/error.h"
#include "tests/cuda/harness.h"

namespace chiasm::cuda_check {

namespace {

using Misuse = device::Status (*)(Bench&, const device::Table&, device::Session*);

/// `misuse` must fail with a text that holds `text`.
void refuses(Harness& h, const std::string& name, std::string_view text, Misuse misuse) {
  h.check(
      "misuse: " + name, 1, 0,
      [=](Bench& bench) -> Floats {
        const device::Table& table = bench.device.table();
        if (misuse(bench, table, bench.device.session()) == device::Status::ok) {
          fail<DeviceError>("nothing was said");
        }
        const std::string said = table.error();
        if (said.find(text) == std::string::npos) fail<DeviceError>("said instead: ", said);
        return {1};
      },
      [](Bench&) -> Floats { return {1}; });
}

/// Memory that was given back.
std::byte* stale(Bench& bench, std::size_t bytes) {
  std::byte* const memory = bench.device.allocate(bytes);
  bench.device.release(memory);
  return memory;
}

constexpr std::int64_t kSize = 16;  // rows, inputs and outputs: too many rows for gemv.cu

/// A product that is in order.
device::LinearCall product(Bench& bench, device::Format format) {
  const Floats numbers(std::size_t(kSize * kSize), 1.0f);
  device::LinearCall call{};
  call.x = bench.rows(numbers, kSize).data();
  call.y = bench.rows(kSize, kSize).data();
  call.x_stride = call.y_stride = call.rows = kSize;
  call.w.data = bench.rows(numbers, kSize).data();
  call.w.out = call.w.in = call.w.padded = kSize;
  call.w.format = format;
  return call;
}

void check_ends(Harness& h) {
  refuses(h, "upload to the host", "upload: the target is not memory of the device",
          [](Bench&, const device::Table& table, device::Session* session) {
            float to = 0;
            const float from = 0;
            return table.upload(session, &to, &from, sizeof to);
          });
  refuses(h, "upload from the device", "upload: the source is memory of the device",
          [](Bench& b, const device::Table& table, device::Session* session) {
            return table.upload(session, b.device.allocate(8), b.device.allocate(8), 8);
          });
  refuses(h, "upload from null", "upload: the source is null",
          [](Bench& b, const device::Table& table, device::Session* session) {
            return table.upload(session, b.device.allocate(8), nullptr, 8);
          });
  refuses(h, "upload of too much", "runs 1 bytes past the end of its memory of 64",
          [](Bench& b, const device::Table& table, device::Session* session) {
            const std::vector<std::byte> from(65);
            return table.upload(session, b.device.allocate(64), from.data(), from.size());
          });
  refuses(h, "download of what was given back", "not in use: it was given back",
          [](Bench& b, const device::Table& table, device::Session* session) {
            float to = 0;
            return table.download(session, &to, stale(b, 64), sizeof to);
          });
  refuses(h, "download to the device", "download: the target is memory of the device",
          [](Bench& b, const device::Table& table, device::Session* session) {
            return table.download(session, b.device.allocate(8), b.device.allocate(8), 8);
          });
  refuses(h, "upload to another device", "upload: the target is memory of another device, cuda:1",
          [](Bench&, const device::Table& table, device::Session* session) {
            Device other(1);
            const float from = 0;
            return table.upload(session, other.allocate(sizeof from), &from, sizeof from);
          });
  refuses(h, "download from another device", "is memory of another device, cuda:1",
          [](Bench&, const device::Table& table, device::Session* session) {
            Device other(1);
            float to = 0;
            return table.download(session, &to, other.allocate(sizeof to), sizeof to);
          });
  refuses(h, "copy between devices", "copy: the source is memory of another device, cuda:1",
          [](Bench& b, const device::Table& table, device::Session* session) {
            Device other(1);
            return table.copy(session, b.device.allocate(8), other.allocate(8), 8);
          });
  refuses(h, "another device's memory given back", "never allocated, or given back before",
          [](Bench&, const device::Table& table, device::Session* session) {
            Device other(1);
            return table.release(session, other.allocate(8));
          });
  refuses(h, "copy onto itself", "overlap",
          [](Bench& b, const device::Table& table, device::Session* session) {
            std::byte* const memory = b.device.allocate(64);
            return table.copy(session, memory + 8, memory, 16);
          });
  refuses(h, "memory given back twice", "never allocated, or given back before",
          [](Bench& b, const device::Table& table, device::Session* session) {
            return table.release(session, stale(b, 64));
          });
}

void check_operands(Harness& h) {
  using device::Format;
  refuses(h, "a product onto its input", "y overlaps x",
          [](Bench& b, const device::Table& table, device::Session* session) {
            device::LinearCall call = product(b, Format::f32);
            call.y = const_cast<float*>(call.x) + kSize / 2;
            return table.linear(session, &call);
          });
  refuses(h, "a product of rows that overlap", "x's rows overlap: a stride of 15",
          [](Bench& b, const device::Table& table, device::Session* session) {
            device::LinearCall call = product(b, Format::f32);
            call.x_stride = kSize - 1;
            return table.linear(session, &call);
          });
  refuses(h, "a product with weights that were given back", "w lies in memory of the device that",
          [](Bench& b, const device::Table& table, device::Session* session) {
            device::LinearCall call = product(b, Format::f32);
            call.w.data = stale(b, kSize * kSize * sizeof(float));
            return table.linear(session, &call);
          });
  refuses(h, "a product with half the weights", "w runs 512 bytes past the end",
          [](Bench& b, const device::Table& table, device::Session* session) {
            device::LinearCall call = product(b, Format::f32);
            call.w.data = b.device.allocate(kSize * kSize * sizeof(float) / 2);
            return table.linear(session, &call);
          });
  refuses(h, "a product with another device's weights", "w is memory of another device, cuda:1",
          [](Bench& b, const device::Table& table, device::Session* session) {
            Device other(1);
            device::LinearCall call = product(b, Format::f32);
            call.w.data = other.allocate(kSize * kSize * sizeof(float));
            return table.linear(session, &call);
          });
  refuses(h, "a product with weights of the host", "w is not memory of the device",
          [](Bench& b, const device::Table& table, device::Session* session) {
            static const float weights[kSize * kSize] = {};
            device::LinearCall call = product(b, Format::f32);
            call.w.data = weights;
            return table.linear(session, &call);
          });
  refuses(h, "a product with bfloat16 weights out of step", "not aligned to 16 bytes",
          [](Bench& b, const device::Table& table, device::Session* session) {
            device::LinearCall call = product(b, Format::bf16);
            call.w.data = static_cast<const std::uint16_t*>(call.w.data) + 1;
            return table.linear(session, &call);
          });
}

}  // namespace

void check_misuse(Harness& h) {
  if (!device_report().emulated) return;
  check_ends(h);
  check_operands(h);
}

}  // namespace chiasm::cuda_check
