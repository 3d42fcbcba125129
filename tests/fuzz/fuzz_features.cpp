/// Any bytes: parse_features returns features whose file is these very bytes, or nothing. And any
/// numbers, written as a file, are read again as they were until a byte of that file changes.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tests/support/features.h"

namespace {

using chiasm::FeatureKey;
using chiasm::Tensor;

// Seeds are files of this key.
constexpr FeatureKey kKey{{1, 2}, {{3, 4}, 2}};
constexpr std::int64_t kWidth = 3;

void expect(bool holds) {
  if (!holds) std::abort();
}

void read_as_it_is(std::span<const std::byte> bytes) {
  const auto features = chiasm::parse_features(bytes, kKey, kWidth);
  if (!features) return;
  const std::string again = chiasm::testing::feature_bytes(kKey, *features);
  expect(bytes.size() == again.size());
  expect(std::memcmp(bytes.data(), again.data(), again.size()) == 0);
}

void write_and_damage(std::span<const std::byte> bytes) {
  const auto rows = std::int64_t(bytes.size() / sizeof(float));
  if (rows == 0) return;
  const FeatureKey key{kKey.model, {kKey.medium.hash, rows}};
  Tensor features = chiasm::float_tensor({rows, 1});
  std::memcpy(features.data(), bytes.data(), features.bytes());
  std::string file = chiasm::testing::feature_bytes(key, features);
  const auto read = chiasm::parse_features(std::as_bytes(std::span(file)), key, 1);
  expect(read && chiasm::testing::same(*read, features));
  const std::uint64_t where = chiasm::content_hash(bytes).low;
  file[where % file.size()] = char(file[where % file.size()] ^ (1 << (where >> 61)));
  expect(!chiasm::parse_features(std::as_bytes(std::span(file)), key, 1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_as_it_is(bytes);
  write_and_damage(bytes);
  return 0;
}
