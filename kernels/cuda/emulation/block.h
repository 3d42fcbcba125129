#pragma once
/// One block of CUDA threads on one thread of the host: each is a fiber that runs until it meets a
/// barrier. Lanes must meet in the same collective; a barrier that some never reach, and lanes that
/// meet in different collectives, end the process with the block and the thread.
#include <cstddef>
#include <cstdint>
#include <functional>

namespace chiasm::device {
struct Session;
}

namespace chiasm::device::emulation {

/// Runs `step` after all earlier work of the session, or records it.
void submit(Session& session, std::function<void()> step);

struct Index {
  unsigned x = 1, y = 1, z = 1;
};

/// What the running CUDA thread is.
struct Place {
  Index thread, block, threads, blocks;
  unsigned lane = 0;
  std::byte* shared = nullptr;
};
const Place& place();

/// What a lane brings to a collective.
struct Slot {
  std::uint32_t words[6];
  const void* address;
};
/// What kind of collective a lane takes part in.
enum class Collective { sync, shuffle_xor, shuffle, multiply, load, load_transposed };

void sync_block();
/// Deposits `mine` and returns the slots of all 32 lanes, once all have come. Valid until the
/// lane's next but one collective.
const Slot* meet(Collective kind, const Slot& mine);

/// Copies that land as late as the program allows; until then the target holds 0xFF.
void copy_async16(void* to, const void* from, bool real);
void commit_copies();
void wait_copies(std::size_t pending);

[[noreturn]] void die(const char* why);

/// Runs `body` once for each thread of each block. Threads take turns in the order that
/// CHIASM_EMULATION_SCHEDULE names: forward (without it), reverse or random.
void run_grid(Index blocks, unsigned threads, std::size_t shared_bytes,
              const std::function<void()>& body);

}  // namespace chiasm::device::emulation
