#include "core/arena.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace chiasm {
namespace {

TEST(Arena, FramesGiveBackWhatTheyTook) {
  Arena arena;
  const auto a = arena.floats({7, 3});
  const float* inner = nullptr;
  {
    Arena::Frame frame(arena);
    inner = arena.floats({100}).data();
  }
  EXPECT_EQ(arena.floats({100}).data(), inner);
  EXPECT_NE(static_cast<const float*>(a.data()), inner);
}

TEST(Arena, AlignsEveryArrayToACacheLine) {
  Arena arena;
  for (const std::int64_t n : {1, 3, 17, 1000}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.floats({n}).data()) % 64, 0u) << n;
  }
}

TEST(Arena, StopsAllocatingAfterTheFirstPass) {
  Arena arena;
  const auto pass = [&] {
    Arena::Frame frame(arena);
    for (int i = 0; i < 5; i++) arena.floats({300'000}).data()[0] = float(i);
  };
  pass();
  pass();  // the blocks of the first pass have become one
  const std::size_t settled = arena.bytes();
  for (int i = 0; i < 3; i++) pass();
  EXPECT_EQ(arena.bytes(), settled);
}

TEST(Arena, ArraysOfOneFrameDoNotOverlap) {
  Arena arena;
  Arena::Frame frame(arena);
  const auto a = arena.floats({400'000}), b = arena.floats({400'000});
  a.data()[399'999] = 1;
  b.data()[0] = 2;
  EXPECT_EQ(a.data()[399'999], 1);
}

TEST(Arena, ReservedMemoryIsOneBlockForAll) {
  Arena arena;
  arena.reserve(8 << 20);
  const std::size_t held = arena.bytes();
  {
    const Arena::Frame frame(arena);
    arena.floats({10});
    for (const std::int64_t size : {100'000, 200'000, 500'000}) {  // each over the one before
      const Arena::Frame inner(arena);
      arena.floats({size});
    }
    arena.reserve(16 << 20);  // in use: nothing moves
    EXPECT_EQ(arena.bytes(), held);
  }
  EXPECT_EQ(arena.bytes(), held);
  arena.reserve(16 << 20);
  EXPECT_GT(arena.bytes(), held);
}

}  // namespace
}  // namespace chiasm
