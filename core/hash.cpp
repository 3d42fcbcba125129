#include "core/hash.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace chiasm {

namespace {

// BLAKE2b with a 16-byte digest: a collision, by chance or by design, costs about 2^64 work, and it
// hashes about a gigabyte a second without special instructions.
// Source: RFC 7693. The same bytes come from Python's
// hashlib.blake2b(data, digest_size=16, salt=seed.to_bytes(8, "little")).
constexpr std::size_t kBlock = 128;
constexpr std::uint64_t kDigestBytes = 16;

constexpr std::array<std::uint64_t, 8> kInitial = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// Order in which round r takes the sixteen words of a block; rounds 10 and 11 repeat 0 and 1.
constexpr std::uint8_t kOrder[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                         {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                         {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                         {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                         {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                         {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                         {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                         {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                         {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                         {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

std::uint64_t little_endian(const std::byte* p) {
  std::uint64_t v = 0;
  for (int i = 0; i < 8; i++) v |= std::to_integer<std::uint64_t>(p[i]) << (8 * i);
  return v;
}

std::uint64_t swap_bytes(std::uint64_t v) { return __builtin_bswap64(v); }

struct State {
  std::array<std::uint64_t, 8> h;
  std::uint64_t hashed = 0;  // bytes so far; 2^64 of them do not fit in memory

  explicit State(std::uint64_t seed) : h(kInitial) {
    h[0] ^= 0x01010000 ^ kDigestBytes;  // parameter block: fan-out 1, depth 1, no key
    h[4] ^= seed;                       // ... and the first half of the salt
  }

  void compress(const std::byte* block, bool last) {
    std::array<std::uint64_t, 16> m{}, v{};
    for (std::size_t i = 0; i < 16; i++) m[i] = little_endian(block + 8 * i);
    std::copy(h.begin(), h.end(), v.begin());
    std::copy(kInitial.begin(), kInitial.end(), v.begin() + 8);
    v[12] ^= hashed;
    if (last) v[14] = ~v[14];
    const auto mix = [&v](int a, int b, int c, int d, std::uint64_t x, std::uint64_t y) {
      v[a] += v[b] + x;
      v[d] = std::rotr(v[d] ^ v[a], 32);
      v[c] += v[d];
      v[b] = std::rotr(v[b] ^ v[c], 24);
      v[a] += v[b] + y;
      v[d] = std::rotr(v[d] ^ v[a], 16);
      v[c] += v[d];
      v[b] = std::rotr(v[b] ^ v[c], 63);
    };
    for (int round = 0; round < 12; round++) {
      const auto& s = kOrder[round % 10];
      for (int i = 0; i < 4; i++) {  // the columns
        mix(i, i + 4, i + 8, i + 12, m[s[2 * i]], m[s[2 * i + 1]]);
      }
      for (int i = 0; i < 4; i++) {  // the diagonals
        mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[s[8 + 2 * i]],
            m[s[9 + 2 * i]]);
      }
    }
    for (std::size_t i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
  }
};

}  // namespace

ContentHash content_hash(std::span<const std::byte> bytes, std::uint64_t seed) {
  State state(seed);
  while (bytes.size() > kBlock) {  // the last block, full or not, is closed below
    state.hashed += kBlock;
    state.compress(bytes.data(), false);
    bytes = bytes.subspan(kBlock);
  }
  std::array<std::byte, kBlock> tail{};
  std::copy(bytes.begin(), bytes.end(), tail.begin());
  state.hashed += bytes.size();
  state.compress(tail.data(), true);
  return {swap_bytes(state.h[0]), swap_bytes(state.h[1])};
}

std::string ContentHash::hex() const {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text(32, '0');
  for (int i = 0; i < 16; i++) {
    text[std::size_t(15 - i)] = kDigits[(high >> (4 * i)) & 15];
    text[std::size_t(31 - i)] = kDigits[(low >> (4 * i)) & 15];
  }
  return text;
}

}  // namespace chiasm
