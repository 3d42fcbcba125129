// The backend of the emulated device: everything happens on the CPU, as late as it may.
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/emulation/block.h"
#include "kernels/cuda/emulation/failure.h"
#include "kernels/cuda/emulation/memory.h"
#include "kernels/cuda/emulation/stream.h"
#include "kernels/cuda/session.h"

namespace chiasm::device {

struct Graph {
  using Steps = std::vector<std::function<void()>>;
  std::shared_ptr<Steps> steps = std::make_shared<Steps>();
};

namespace emulation {

void submit(Session& session, std::function<void()> step) {
  if (session.recording == nullptr) return stream_of(session).add(std::move(step));
  session.recording->steps->push_back(std::move(step));
}

}  // namespace emulation

}  // namespace chiasm::device

namespace chiasm::device::backend {

struct Event {
  emulation::Stream* stream = nullptr;
  std::uint64_t place = 0;
};

using emulation::Memory;

namespace {

/// What a card would not record.
void refuse_recording(const Session& session, const char* what) {
  if (session.recording == nullptr) return;
  throw Failure(Status::failed, std::string(what) + " while a graph is recorded");
}

}  // namespace

const char* build() { return "emulation on the CPU"; }
bool emulated() { return true; }

void probe(int index, Probe& out) {
  out.devices = Memory::kDevices;
  if (index < 0 || index >= Memory::kDevices) {
    std::snprintf(out.missing, sizeof out.missing,
                  "no such device: this machine has %d, counted from 0", Memory::kDevices);
    return;
  }
  std::snprintf(out.name, sizeof out.name, "emulated device");
  out.memory_bytes = Memory::kBytes;
}

Session* open(int index) {
  auto* session = new Session;
  session->index = index;
  session->stream = new emulation::Stream;
  return session;
}

void close(Session* session) noexcept {
  delete &emulation::stream_of(*session);
  delete session;
}

void* allocate(std::uint64_t bytes) {
  void* const memory = Memory::current().allocate(bytes);
  if (memory == nullptr) throw Failure(Status::out_of_memory, "the emulated device is full");
  return memory;
}

void release(Session& session, void* memory) {
  emulation::stream_of(session).finish();
  if (!Memory::current().release(memory)) {
    throw Failure(Status::failed, "this memory was never allocated, or given back before");
  }
}

// A card would find the mistakes below late, in another call, or never. Of no bytes, addresses may
// be null.
void upload(Session& session, void* to, const void* from, std::uint64_t bytes) {
  refuse_recording(session, "an upload");
  if (bytes == 0) return;
  Memory::current().expect_own(to, bytes, "upload: the target");
  Memory::current().expect_foreign(from, "upload: the source");
  session.staging.upload(session, to, from, bytes);
}

void download(Session& session, void* to, const void* from, std::uint64_t bytes) {
  refuse_recording(session, "a download");
  if (bytes == 0) return;
  Memory::current().expect_foreign(to, "download: the target");
  session.staging.download(session, to, from, bytes);
}

void copy(Session& session, void* to, const void* from, std::uint64_t bytes) {
  if (bytes == 0) return;
  Memory::current().expect_own(to, bytes, "copy: the target");
  Memory::current().expect_own(from, bytes, "copy: the source");
  const auto* const a = static_cast<const std::byte*>(to);
  const auto* const b = static_cast<const std::byte*>(from);
  if (a < b + bytes && b < a + bytes) {
    throw Failure(Status::failed, "copy: the source and the target overlap");
  }
  emulation::submit(session, [=] { std::memcpy(to, from, bytes); });
}

void synchronize(Session& session) {
  refuse_recording(session, "waiting");
  emulation::stream_of(session).finish();
}

void* allocate_pinned(std::uint64_t bytes) { return ::operator new(bytes); }
void release_pinned(void* memory) noexcept { ::operator delete(memory); }

void upload_pinned(Session& session, void* to, const void* from, std::uint64_t bytes) {
  refuse_recording(session, "an upload");
  emulation::submit(session, [=] { std::memcpy(to, from, bytes); });
}

/// Until the copy lands, its target is NaN.
void download_pinned(Session& session, void* to, const void* from, std::uint64_t bytes) {
  refuse_recording(session, "a download");
  Memory::current().expect_own(from, bytes, "download: the source");
  std::memset(to, 0xFF, bytes);
  emulation::submit(session, [=] { std::memcpy(to, from, bytes); });
}

Event* make_event() { return new Event; }
void record(Session& session, Event& event) {
  refuse_recording(session, "marking a place");
  event.stream = &emulation::stream_of(session);
  event.place = event.stream->asked();
}
void wait(Event& event) {
  if (event.stream != nullptr) event.stream->run_to(event.place);
}
void forget(Event* event) noexcept { delete event; }

void begin_capture(Session& session) { session.recording = new Graph; }
Graph* end_capture(Session& session) { return std::exchange(session.recording, nullptr); }
void launch(Session& session, Graph& graph) {
  refuse_recording(session, "a launch");
  emulation::submit(session, [steps = graph.steps] {
    for (const auto& step : *steps) step();
  });
}
void forget(Graph* graph) noexcept { delete graph; }

/// Of no session: none is open yet, and nothing is touched.
Access::Access(const Session* session) {
  if (session != nullptr) Memory::of(session->index).enter();
}
Access::~Access() { Memory::leave(); }

}  // namespace chiasm::device::backend

extern "C" __attribute__((visibility("default"))) void chiasm_emulation_fail(int index,
                                                                             const char* why) {
  chiasm::device::emulation::Memory::of(index).fail(why != nullptr ? why : "");
}
