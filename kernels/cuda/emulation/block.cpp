#include "kernels/cuda/emulation/block.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "kernels/cuda/emulation/fiber.h"
#include "kernels/cuda/emulation/sanitizers.h"

namespace chiasm::device::emulation {

namespace {

using sanitizers::Quiet;

constexpr unsigned kWarp = 32;
constexpr std::size_t kSharedAlignment = 128;
constexpr std::size_t kCopyBytes = 16;  // of an asynchronous copy

enum class State { ready, waits_for_block, waits_for_warp, done };

struct Copy {
  void* to;
  const void* from;
  bool real;
};

struct Thread {
  Fiber fiber;
  State state = State::done;
  Index index;
  std::vector<Copy> pending;
  std::vector<std::size_t> groups;  // copies up to the end of each committed group
};

struct Warp {
  unsigned arrived = 0;
  Collective kind = Collective::sync;
  unsigned turn =
      0;  // of collectives; two sets of slots, so that one barrier a collective is enough
  std::array<std::array<Slot, kWarp>, 2> slots;
  std::array<char, 2> points;  // what a sanitizer's edges go through
};

struct Block {
  Place place;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  unsigned count = 0, live = 0, arrived = 0, turn = 0, current = 0;
  std::unique_ptr<std::byte[]> shared;
  std::size_t shared_bytes = 0;
  const std::function<void()>* body = nullptr;
  std::array<char, 2> points;
  char finished;

  Thread& thread() { return threads[current]; }
  Warp& warp() { return warps[current / kWarp]; }
  void wake(unsigned begin, unsigned end, State waiting) {
    for (unsigned i = begin; i < std::min(end, count); i++) {
      if (threads[i].state == waiting) threads[i].state = State::ready;
    }
  }
  void pass_barrier() {
    arrived = 0;
    turn++;
    wake(0, count, State::waits_for_block);
  }
};

thread_local Block block;

void wait(State state) {
  Thread& thread = block.thread();
  thread.state = state;
  thread.fiber.leave(/*ends=*/false);
}

/// Never returns, so that ThreadSanitizer must not count its call.
__attribute__((no_sanitize("thread"))) void run_thread() {
  block.thread().fiber.arrived();
  (*block.body)();
  {
    const Quiet quiet;
    Thread& thread = block.thread();
    if (!thread.pending.empty()) die("a thread ended while its copies were pending");
    thread.state = State::done;
    block.live--;
    if (block.live > 0 && block.arrived == block.live) block.pass_barrier();
  }
  sanitizers::release(&block.finished);
  block.thread().fiber.leave(/*ends=*/true);
  die("a finished thread went on");
}

void enter(unsigned thread) {
  block.current = thread;
  block.place.thread = block.threads[thread].index;
  block.place.lane = thread % kWarp;
  block.threads[thread].fiber.enter();
}

/// A warp runs until all its lanes wait for the block. Whether any lane ran.
bool run_warp(const std::vector<unsigned>& order, unsigned begin) {
  bool any = false;
  for (bool again = true; again;) {
    again = false;
    for (unsigned i = begin; i < std::min(block.count, begin + kWarp); i++) {
      if (block.threads[order[i]].state != State::ready) continue;
      any = again = true;
      enter(order[i]);
    }
  }
  return any;
}

/// The block's dynamic shared memory, between guards: NaN until written.
void place_shared(std::size_t bytes) {
  const std::size_t whole = bytes + 2 * kSharedAlignment;
  if (block.shared_bytes < whole) {
    block.shared = std::make_unique<std::byte[]>(whole);
    block.shared_bytes = whole;
  }
  const auto address = reinterpret_cast<std::uintptr_t>(block.shared.get());
  block.place.shared = block.shared.get() + (kSharedAlignment - address % kSharedAlignment);
  sanitizers::poison(block.shared.get(), block.shared_bytes);
  sanitizers::unpoison(block.place.shared, bytes);
  std::memset(block.place.shared, 0xFF, bytes);
}

void start_block(unsigned threads, std::size_t shared_bytes, const std::function<void()>& body) {
  block.count = block.live = threads;
  block.arrived = 0;
  block.body = &body;
  place_shared(shared_bytes);
  while (block.threads.size() < threads) block.threads.emplace_back();
  block.warps.assign((threads + kWarp - 1) / kWarp, Warp{});
  for (unsigned i = 0; i < threads; i++) {
    Thread& t = block.threads[i];
    t.state = State::ready;
    t.index = {i, 0, 0};
    t.pending.clear();
    t.groups.clear();
    t.fiber.prepare(run_thread);
  }
}

void run_block(std::string_view schedule, std::mt19937& random) {
  std::vector<unsigned> order(block.count);
  for (unsigned i = 0; i < block.count; i++) {
    order[i] = schedule == "reverse" ? block.count - 1 - i : i;
  }
  while (block.live > 0) {
    bool any = false;
    for (unsigned begin = 0; begin < block.count; begin += kWarp) {
      if (schedule == "random") {
        std::shuffle(order.begin() + begin, order.begin() + std::min(block.count, begin + kWarp),
                     random);
      }
      any = run_warp(order, begin) || any;
    }
    if (!any) die("some threads wait at a barrier that others never reach");
  }
  sanitizers::acquire(&block.finished);
}

}  // namespace

const Place& place() { return block.place; }

void die(const char* why) {
  const Index& b = block.place.block;
  std::fprintf(stderr, "emulated device: %s (block %u, %u, %u; thread %u)\n", why, b.x, b.y, b.z,
               block.current);
  std::terminate();
}

__attribute__((no_sanitize("thread"))) void sync_block() {
  const Quiet quiet;
  char* const point = &block.points[block.turn % 2];
  sanitizers::release(point);
  if (++block.arrived == block.live) {
    block.pass_barrier();
  } else {
    wait(State::waits_for_block);
  }
  sanitizers::acquire(point);
}

__attribute__((no_sanitize("thread"))) const Slot* meet(Collective kind, const Slot& mine) {
  const Quiet quiet;
  Warp& warp = block.warp();
  const unsigned begin = block.current / kWarp * kWarp;
  if (begin + kWarp > block.count) die("a collective in a warp of fewer than 32 lanes");
  if (warp.arrived == 0) warp.kind = kind;
  if (warp.kind != kind) die("lanes meet in different collectives");
  const unsigned turn = warp.turn % 2;
  warp.slots[turn][block.current % kWarp] = mine;
  sanitizers::release(&warp.points[turn]);
  if (++warp.arrived == kWarp) {
    warp.arrived = 0;
    warp.turn++;
    block.wake(begin, begin + kWarp, State::waits_for_warp);
  } else {
    wait(State::waits_for_warp);
  }
  sanitizers::acquire(&warp.points[turn]);
  return warp.slots[turn].data();
}

void copy_async16(void* to, const void* from, bool real) {
  const auto both = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from);
  if (both % kCopyBytes != 0) {
    die("an asynchronous copy is not aligned to 16 bytes");
  }
  std::memset(to, 0xFF, kCopyBytes);
  sanitizers::wrote(to, kCopyBytes);
  block.thread().pending.push_back({to, from, real});
}

void commit_copies() {
  Thread& thread = block.thread();
  thread.groups.push_back(thread.pending.size());
}

void wait_copies(std::size_t pending) {
  Thread& thread = block.thread();
  if (thread.groups.size() <= pending) return;
  const std::size_t landed = thread.groups.size() - pending;
  const std::size_t end = thread.groups[landed - 1];
  for (std::size_t i = 0; i < end; i++) {
    const Copy& copy = thread.pending[i];
    if (copy.real) {
      sanitizers::read(copy.from, kCopyBytes);
      std::memcpy(copy.to, copy.from, kCopyBytes);
    } else {
      std::memset(copy.to, 0, kCopyBytes);
    }
    // Seen at its issue and here: a card may write at any time between the two.
    sanitizers::wrote(copy.to, kCopyBytes);
  }
  thread.pending.erase(thread.pending.begin(), thread.pending.begin() + std::ptrdiff_t(end));
  thread.groups.erase(thread.groups.begin(), thread.groups.begin() + std::ptrdiff_t(landed));
  for (std::size_t& group : thread.groups) group -= end;
}

void run_grid(Index blocks, unsigned threads, std::size_t shared_bytes,
              const std::function<void()>& body) {
  const Quiet quiet;
  const char* const named = std::getenv("CHIASM_EMULATION_SCHEDULE");
  const std::string_view schedule = named != nullptr ? named : "forward";
  std::mt19937 random(7);
  block.place.threads = {threads, 1, 1};
  block.place.blocks = blocks;
  const unsigned count = blocks.x * blocks.y * blocks.z;
  for (unsigned i = 0; i < count; i++) {
    const unsigned at = schedule == "reverse" ? count - 1 - i : i;
    block.place.block = {at % blocks.x, at / blocks.x % blocks.y, at / blocks.x / blocks.y};
    start_block(threads, shared_bytes, body);
    run_block(schedule, random);
  }
}

}  // namespace chiasm::device::emulation
