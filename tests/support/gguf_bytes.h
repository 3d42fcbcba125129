#pragma once
/// Writes GGUF files, right and wrong ones, for tests.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace chiasm::testing {

/// Appends little-endian numbers, texts and whole entries to a string of bytes.
class GgufBytes {
 public:
  template <class T>
  GgufBytes& number(T v) {
    char raw[sizeof(T)];
    std::memcpy(raw, &v, sizeof v);
    bytes.append(raw, sizeof v);
    return *this;
  }
  GgufBytes& u32(std::uint32_t v) { return number(v); }
  GgufBytes& u64(std::uint64_t v) { return number(v); }
  GgufBytes& text(std::string_view v) {
    u64(v.size());
    bytes += v;
    return *this;
  }
  GgufBytes& header(std::uint64_t tensors, std::uint64_t values, std::uint32_t version = 3) {
    bytes += "GGUF";
    return u32(version).u64(tensors).u64(values);
  }
  GgufBytes& value(std::string_view key, std::string_view v) { return text(key).u32(8).text(v); }
  GgufBytes& value(std::string_view key, std::uint32_t v) { return text(key).u32(4).u32(v); }
  GgufBytes& value(std::string_view key, float v) { return text(key).u32(6).number(v); }
  GgufBytes& flag(std::string_view key, int v) {
    return text(key).u32(7).number(static_cast<char>(v));
  }
  GgufBytes& flags(std::string_view key, const std::vector<bool>& all) {
    text(key).u32(9).u32(7).u64(all.size());
    for (const bool v : all) number(static_cast<char>(v));
    return *this;
  }
  GgufBytes& numbers(std::string_view key, const std::vector<float>& all) {
    text(key).u32(9).u32(6).u64(all.size());
    for (const auto v : all) number(v);
    return *this;
  }
  GgufBytes& strings(std::string_view key, const std::vector<std::string>& all) {
    text(key).u32(9).u32(8).u64(all.size());
    for (const auto& s : all) text(s);
    return *this;
  }
  GgufBytes& integers(std::string_view key, const std::vector<std::int32_t>& all) {
    text(key).u32(9).u32(5).u64(all.size());
    for (const auto v : all) number(v);
    return *this;
  }
  /// `dims`: fastest first, as the format has them.
  GgufBytes& tensor(std::string_view name, const std::vector<std::uint64_t>& dims,
                    std::uint32_t type, std::uint64_t offset) {
    text(name).u32(std::uint32_t(dims.size()));
    for (const auto d : dims) u64(d);
    return u32(type).u64(offset);
  }
  /// Zeros up to the next multiple of `alignment`, then `data`.
  GgufBytes& data(std::string_view data, std::size_t alignment = 32) {
    bytes.append((alignment - bytes.size() % alignment) % alignment, '\0');
    bytes += data;
    return *this;
  }

  std::string bytes;
};

}  // namespace chiasm::testing
