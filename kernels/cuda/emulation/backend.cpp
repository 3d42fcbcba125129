// The backend of the emulated device: everything happens at once, on the CPU.
#include <cstdio>
#include <cstring>

#include "kernels/cuda/emulation/memory.h"
#include "kernels/cuda/session.h"

namespace chiasm::device::backend {

using emulation::Memory;

const char* build() { return "emulation on the CPU"; }
bool emulated() { return true; }

void probe(int index, Probe& out) {
  out.devices = 1;
  if (index != 0) {
    std::snprintf(out.missing, sizeof out.missing,
                  "no such device: this machine has 1, counted from 0");
    return;
  }
  std::snprintf(out.name, sizeof out.name, "emulated device");
  out.memory_bytes = Memory::kBytes;
}

Session* open(int index) {
  auto* session = new Session;
  session->index = index;
  return session;
}

void close(Session* session) noexcept { delete session; }

void* allocate(std::uint64_t bytes) {
  void* const memory = Memory::instance().allocate(bytes);
  if (memory == nullptr) throw Failure(Status::out_of_memory, "the emulated device is full");
  return memory;
}

void release(void* memory) {
  if (!Memory::instance().release(memory)) {
    throw Failure(Status::failed, "this memory was never allocated, or given back before");
  }
}

// A card would find the mistakes below late, in another call, or never. Of no bytes, addresses may
// be null.
void upload(Session&, void* to, const void* from, std::uint64_t bytes) {
  if (bytes == 0) return;
  Memory::instance().expect_own(to, bytes, "upload: the target");
  Memory::instance().expect_foreign(from, "upload: the source");
  std::memcpy(to, from, bytes);
}

void download(Session&, void* to, const void* from, std::uint64_t bytes) {
  if (bytes == 0) return;
  Memory::instance().expect_foreign(to, "download: the target");
  Memory::instance().expect_own(from, bytes, "download: the source");
  std::memcpy(to, from, bytes);
}

void copy(Session&, void* to, const void* from, std::uint64_t bytes) {
  if (bytes == 0) return;
  Memory::instance().expect_own(to, bytes, "copy: the target");
  Memory::instance().expect_own(from, bytes, "copy: the source");
  const auto* const a = static_cast<const std::byte*>(to);
  const auto* const b = static_cast<const std::byte*>(from);
  if (a < b + bytes && b < a + bytes) {
    throw Failure(Status::failed, "copy: the source and the target overlap");
  }
  std::memcpy(to, from, bytes);
}

void synchronize(Session&) {}

Access::Access(const Session*) { Memory::instance().enter(); }
Access::~Access() { Memory::instance().leave(); }

}  // namespace chiasm::device::backend
