#pragma once
/// Reader of the safetensors format: 8 bytes little-endian header length, JSON header, data.
/// Source: https://huggingface.co/docs/safetensors
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/mapped_file.h"
#include "core/shape.h"

namespace chiasm {

/// Where a tensor lies in the bytes behind it.
struct TensorEntry {
  DType dtype;
  Shape shape;
  // Exactly shape.count() * size_of(dtype); aligned to nothing, since headers have any length.
  std::span<const std::byte> bytes;
  // From a GGUF file: then dtype is u8 and `bytes` are blocks along the last dimension.
  std::optional<BlockType> blocks = std::nullopt;
  // Above 0: rows are interleaved in heads of so many, as kernels::BlockRows says.
  std::int64_t interleaved = 0;
  // Not empty: dtype is u8 and `bytes` hold the matrix as the kernels keep it, in the format of
  // this name (see packed_file.h).
  std::string packed = {};
};

/// The file's own notes, "__metadata__".
using Metadata = std::map<std::string, std::string, std::less<>>;

/// Parses a whole file's bytes. FormatError names `file`, the tensor and the offset for: a header
/// length past the end or over 100 MB, invalid JSON, duplicate names, unknown dtypes, negative or
/// overflowing shapes, offsets out of bounds, overlapping or leaving gaps, sizes that do not match.
/// `metadata`, where given, receives the file's notes; then a note that is no text is refused too.
std::map<std::string, TensorEntry, std::less<>> parse_safetensors(std::span<const std::byte> bytes,
                                                                  const std::string& file,
                                                                  Metadata* metadata = nullptr);

/// The tensors of a model folder: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` lists. Keeps the files mapped. Thread-safe (const).
class Checkpoint {
 public:
  /// ModelError when the folder has neither, a shard is missing, two shards hold one name, or the
  /// index puts a tensor where it is not.
  static Checkpoint open(const std::filesystem::path& folder);
  /// The tensors of one file in another format, by whatever names the model asks for.
  static Checkpoint of(MappedFile file, std::string source,
                       std::map<std::string, TensorEntry, std::less<>> tensors);

  const std::map<std::string, TensorEntry, std::less<>>& tensors() const { return tensors_; }
  /// Drops the file pages behind one tensor from memory (see MappedFile::release).
  void release(const TensorEntry& entry) const;
  /// Bytes of all tensors together.
  std::size_t bytes() const;
  /// The file that errors about the whole name: "model.safetensors" or the index.
  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::vector<MappedFile> files_;
  std::map<std::string, TensorEntry, std::less<>> tensors_;
};

}  // namespace chiasm
