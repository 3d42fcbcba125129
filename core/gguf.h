#pragma once
/// Reader of GGUF files, versions 2 and 3, little-endian: metadata, tensors, data, in one file.
/// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mapped_file.h"
#include "core/safetensors.h"

namespace chiasm {

enum class GgufType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

/// One metadata value: a view into the file's bytes, which must outlive it. Its bounds have been
/// checked; a wrong type is a FormatError that names file and key.
class GgufValue {
 public:
  GgufType type() const { return type_; }
  /// Elements of an array, else 0.
  std::uint64_t size() const { return count_; }
  /// "model.gguf: general.architecture", for errors.
  const std::string& where() const { return where_; }

  /// Any integer type; FormatError when it does not fit.
  std::int64_t integer() const;
  /// Any integer or floating-point type.
  double number() const;
  bool boolean() const;
  std::string_view str() const;
  /// Arrays of strings, of integers, of numbers, of booleans.
  std::vector<std::string_view> strings() const;
  std::vector<std::int64_t> integers() const;
  std::vector<double> numbers() const;
  std::vector<bool> booleans() const;

 private:
  friend class GgufParser;
  [[noreturn]] void wrong(std::string_view expected) const;
  template <class Convert>
  auto all(std::string_view expected, const Convert& convert) const;

  GgufType type_ = GgufType::u8, element_ = GgufType::u8;
  std::uint64_t count_ = 0;
  std::span<const std::byte> bytes_;  // of the number, the text, or all elements
  std::string where_;
};

/// A parsed file. Tensors have safetensors' row-major shapes: [out, in] for a matrix.
struct GgufContents {
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::map<std::string, TensorEntry, std::less<>> tensors;

  /// The value of `key`, or none.
  const GgufValue* find(std::string_view key) const;
  /// The value of `key`; FormatError when missing.
  const GgufValue& at(std::string_view key) const;
  std::string file;
};

/// Parses a whole file's bytes. FormatError names `file`, the key or tensor and the offset for: a
/// wrong magic number or version, counts and lengths past the end, unknown types, duplicate names,
/// arrays nested deeper than 4, alignments that are no power of two, shapes that overflow or do not
/// divide into blocks, tensors that are misaligned, overlap or lie outside, and tensor types other
/// than F32, F16, BF16 and those of BlockType.
GgufContents parse_gguf(std::span<const std::byte> bytes, const std::string& file);

}  // namespace chiasm
