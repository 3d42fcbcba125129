#include "kernels/cuda/emulation/memory.h"

#include <sys/mman.h>

#include <array>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

#include "kernels/cuda/emulation/sanitizers.h"
#include "kernels/cuda/session.h"

namespace chiasm::device::emulation {

namespace {
constexpr std::uint64_t kGuard = 256;  // also the alignment that CUDA's allocator promises

thread_local Memory* entered = nullptr;

struct Devices {
  std::mutex mutex;
  std::array<std::unique_ptr<Memory>, Memory::kDevices> memories;  // of those that were asked for
};
Devices& devices() {
  static Devices all;
  return all;
}
}  // namespace

Memory& Memory::of(int index) {
  const std::lock_guard lock(devices().mutex);
  std::unique_ptr<Memory>& memory = devices().memories.at(std::size_t(index));
  if (memory == nullptr) memory.reset(new Memory(index));
  return *memory;
}

Memory& Memory::current() { return *entered; }

const Memory* Memory::owner(const void* address) {
  const std::lock_guard lock(devices().mutex);
  for (const auto& memory : devices().memories) {
    if (memory != nullptr && memory->contains(address)) return memory.get();
  }
  return nullptr;
}

Memory::Memory(int index) : index_(index) {
  void* const base =
      mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw Failure(Status::out_of_memory, "no addresses for emulated memory");
  base_ = static_cast<std::byte*>(base);
  sanitizers::poison(base_, kBytes);
}

void Memory::protect(int protection) const {
  if (mprotect(base_, kBytes, protection) != 0) {
    throw Failure(Status::failed, "the emulated device's memory cannot be opened or closed");
  }
}

void Memory::enter() {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) throw Failure(Status::failed, failure_);
  if (inside_++ == 0) protect(PROT_READ | PROT_WRITE);
  entered = this;
}

void Memory::leave() {
  Memory* const memory = std::exchange(entered, nullptr);
  if (memory == nullptr) return;
  const std::lock_guard lock(memory->mutex_);
  if (--memory->inside_ == 0) memory->protect(PROT_NONE);
}

void Memory::fail(std::string why) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(why);
}

void* Memory::allocate(std::uint64_t bytes) {
  if (bytes > kBytes) return nullptr;
  const std::lock_guard lock(mutex_);
  const std::uint64_t whole = (bytes + kGuard - 1) / kGuard * kGuard + kGuard;
  std::uint64_t begin = 0;  // the first gap that is wide enough
  for (const auto& [at, piece] : taken_) {
    if (at - begin >= whole) break;
    begin = at + piece.whole;
  }
  if (begin + whole > kBytes) return nullptr;
  taken_[begin] = {whole, bytes};
  std::byte* const memory = base_ + begin;
  sanitizers::unpoison(memory, bytes);
  sanitizers::poison(memory + bytes, whole - bytes);
  std::memset(memory, 0xFF, bytes);
  return memory;
}

bool Memory::release(void* memory) {
  const std::lock_guard lock(mutex_);
  const auto at = taken_.find(std::uint64_t(static_cast<std::byte*>(memory) - base_));
  if (at == taken_.end()) return false;
  std::memset(memory, 0xFF, at->second.bytes);
  sanitizers::poison(memory, at->second.whole);
  taken_.erase(at);
  return true;
}

bool Memory::contains(const void* address) const {
  const auto* const at = static_cast<const std::byte*>(address);
  return at >= base_ && at < base_ + kBytes;
}

void Memory::expect_own(const void* address, std::uint64_t bytes, const char* what) const {
  if (!contains(address)) {
    const Memory* const other = owner(address);
    throw Failure(Status::failed,
                  what + (other == nullptr ? std::string(" is not memory of the device")
                                           : " is memory of another device, cuda:" +
                                                 std::to_string(other->index_)));
  }
  const std::lock_guard lock(mutex_);
  const auto at = std::uint64_t(static_cast<const std::byte*>(address) - base_);
  const auto after = taken_.upper_bound(at);
  const auto piece = after == taken_.begin() ? taken_.end() : std::prev(after);
  if (piece == taken_.end() || at > piece->first + piece->second.bytes) {
    throw Failure(Status::failed, std::string(what) +
                                      " lies in memory of the device that is not in use: it was "
                                      "given back, or never allocated");
  }
  const std::uint64_t end = piece->first + piece->second.bytes;
  if (bytes > end - at) {
    throw Failure(Status::failed, std::string(what) + " runs " +
                                      std::to_string(bytes - (end - at)) +
                                      " bytes past the end of its memory of " +
                                      std::to_string(piece->second.bytes));
  }
}

void Memory::expect_foreign(const void* address, const char* what) const {
  if (address == nullptr) throw Failure(Status::failed, std::string(what) + " is null");
  if (owner(address) != nullptr) {
    throw Failure(Status::failed,
                  std::string(what) + " is memory of the device, and must be the host's");
  }
}

}  // namespace chiasm::device::emulation
