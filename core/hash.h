#pragma once
/// Content hashes: keys of caches.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace chiasm {

/// 128 bits, enough that two different pictures never meet by chance. Not for secrets, but the
/// function must spread adversarial inputs well enough to be a cache key between users.
struct ContentHash {
  std::uint64_t high = 0, low = 0;
  friend bool operator==(const ContentHash&, const ContentHash&) = default;
  friend auto operator<=>(const ContentHash&, const ContentHash&) = default;
  std::string hex() const;
};

ContentHash content_hash(std::span<const std::byte> bytes, std::uint64_t seed = 0);

/// splitmix64: the project's integer hash, the same in Python (tests/reference) and C++. Random
/// weights of large test shapes and counter-based sampling come from it.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

}  // namespace chiasm
