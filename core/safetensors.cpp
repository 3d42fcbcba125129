#include "core/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/json.h"

namespace chiasm {

namespace {

using Entries = std::map<std::string, TensorEntry, std::less<>>;

constexpr std::size_t kPrefix = 8;                 // the header length, a little-endian integer
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::size_t kMaxIndex = std::size_t(64) << 20;

std::optional<DType> parse_dtype(std::string_view text) {
  if (text == "F64") return DType::f64;
  if (text == "F32") return DType::f32;
  if (text == "F16") return DType::f16;
  if (text == "BF16") return DType::bf16;
  if (text == "I64") return DType::i64;
  if (text == "I32") return DType::i32;
  if (text == "I16") return DType::i16;
  if (text == "I8") return DType::i8;
  if (text == "U8") return DType::u8;
  if (text == "BOOL") return DType::boolean;
  return std::nullopt;
}

/// The header's bytes; checks the length before anything is read.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() < kPrefix) {
    fail<FormatError>(file, ": ", bytes.size(), " bytes, too short for a safetensors file");
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kPrefix; i++) {
    length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  if (length > kMaxHeader) {
    fail<FormatError>(file, ": header length ", length, " at offset 0 is over the limit of ",
                      kMaxHeader, "; is this a safetensors file?");
  }
  if (length > bytes.size() - kPrefix) {
    fail<FormatError>(file, ": header of ", length, " bytes at offset ", kPrefix,
                      " runs past the end of the file (", bytes.size(),
                      " bytes); is it truncated?");
  }
  return {reinterpret_cast<const char*>(bytes.data()) + kPrefix, std::size_t(length)};
}

/// A non-negative whole number. Floats such as 2.0 are refused: no writer makes them here.
std::int64_t whole(const Json& value) {
  if (!value.raw().is_number_unsigned()) {
    fail<FormatError>(value.where(), ": expected a whole number >= 0, got ", value.brief());
  }
  return value.integer();
}

Shape parse_shape(const Json& dims) {
  if (!dims.is_array()) fail<FormatError>(dims.where(), ": expected an array");
  if (dims.size() > Shape::kMaxRank) {
    fail<FormatError>(dims.where(), ": rank ", dims.size(), " is over the limit of ",
                      Shape::kMaxRank);
  }
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 0; i < dims.size(); i++) sizes.push_back(whole(dims[i]));
  return Shape(sizes);
}

/// Bytes that `shape` of `dtype` takes; FormatError when no such number exists.
std::int64_t byte_count(const Shape& shape, DType dtype, const Json& node) {
  std::int64_t bytes = std::int64_t(size_of(dtype));
  for (const std::int64_t d : shape.dims()) {
    if (__builtin_mul_overflow(bytes, d, &bytes)) {
      fail<FormatError>(node.where(), ": shape ", shape, " is too large");
    }
  }
  return bytes;
}

/// One tensor of the header. `data` is everything after the header; `base` its offset in the file.
TensorEntry parse_entry(const Json& node, std::span<const std::byte> data, std::size_t base) {
  const std::string type = node["dtype"].str();
  const auto dtype = parse_dtype(type);
  if (!dtype) fail<FormatError>(node.where(), ": unknown dtype \"", type, "\"");
  const Shape shape = parse_shape(node["shape"]);
  const std::int64_t needed = byte_count(shape, *dtype, node);

  const Json offsets = node["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) {
    fail<FormatError>(offsets.where(), ": expected [begin, end]");
  }
  const std::int64_t begin = whole(offsets[0]), end = whole(offsets[1]);
  if (begin > end) {
    fail<FormatError>(offsets.where(), ": begins at ", begin, " and ends before, at ", end);
  }
  if (std::uint64_t(end) > data.size()) {
    fail<FormatError>(node.where(), ": lies at offsets ", base + std::size_t(begin), " to ",
                      base + std::size_t(end), ", past the end of the file (", base + data.size(),
                      " bytes); is it truncated?");
  }
  if (end - begin != needed) {
    fail<FormatError>(node.where(), ": ", type, " of shape ", shape, " takes ", needed,
                      " bytes, the offsets at ", base + std::size_t(begin), " give it ",
                      end - begin);
  }
  return {*dtype, shape, data.subspan(std::size_t(begin), std::size_t(needed))};
}

/// Every byte of the data belongs to exactly one tensor; anything else is a damaged or crafted
/// file.
void check_tiling(const Entries& entries, std::span<const std::byte> data, std::size_t base,
                  const std::string& file) {
  struct Piece {
    std::size_t begin, end;
    const std::string* name;
  };
  std::vector<Piece> pieces;
  for (const auto& [name, entry] : entries) {
    const auto begin = std::size_t(entry.bytes.data() - data.data());
    pieces.push_back(Piece{begin, begin + entry.bytes.size(), &name});
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::size_t reached = 0;
  for (const Piece& piece : pieces) {
    if (piece.begin < reached) {
      fail<FormatError>(file, ": ", *piece.name, ": begins at offset ", base + piece.begin,
                        ", inside the tensor that ends at ", base + reached);
    }
    if (piece.begin > reached) {
      fail<FormatError>(file, ": ", *piece.name, ": begins at offset ", base + piece.begin,
                        ", leaving a gap after ", base + reached);
    }
    reached = piece.end;
  }
  if (reached != data.size()) {
    fail<FormatError>(file, ": ", data.size() - reached, " bytes after offset ", base + reached,
                      " belong to no tensor");
  }
}

}  // namespace

Entries parse_safetensors(std::span<const std::byte> bytes, const std::string& file,
                          Metadata* metadata) {
  const std::string_view text = header_text(bytes, file);
  const std::size_t base = kPrefix + text.size();
  const std::span<const std::byte> data = bytes.subspan(base);
  const Json header = Json::parse(text, file);
  if (!header.is_object()) fail<FormatError>(file, ": the header is not a JSON object");

  Entries entries;
  for (const auto& item : header.raw().items()) {
    if (item.key() == "__metadata__") continue;
    entries.emplace(item.key(), parse_entry(header[item.key()], data, base));
  }
  check_tiling(entries, data, base, file);
  if (metadata != nullptr && header.has("__metadata__")) {
    const Json notes = header["__metadata__"];
    if (!notes.is_object()) fail<FormatError>(notes.where(), ": expected an object");
    for (const auto& item : notes.raw().items()) {
      metadata->emplace(item.key(), notes[item.key()].str());
    }
  }
  return entries;
}

namespace {

/// The files that the index names. A name with a folder in it could reach outside the model.
std::set<std::string> shard_names(const Json& weight_map) {
  if (!weight_map.is_object()) fail<FormatError>(weight_map.where(), ": expected an object");
  std::set<std::string> shards;
  for (const auto& item : weight_map.raw().items()) {
    const std::string shard = weight_map[item.key()].str();
    if (shard.empty() || shard == "." || shard == ".." ||
        shard.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      fail<FormatError>(weight_map.where(), ": ", weight_map[item.key()].brief(),
                        " is not a plain file name");
    }
    shards.insert(shard);
  }
  return shards;
}

}  // namespace

Checkpoint Checkpoint::open(const std::filesystem::path& folder) {
  std::error_code code;
  if (!std::filesystem::is_directory(folder, code)) {
    fail<ModelError>(folder.string(), ": is not a folder");
  }
  Checkpoint checkpoint;
  std::map<std::string, std::string, std::less<>> owners;  // tensor -> its file
  const auto add = [&](const std::string& file) {
    checkpoint.files_.emplace_back(folder / file);
    for (auto& [name, entry] : parse_safetensors(checkpoint.files_.back().bytes(), file)) {
      const auto [owner, is_new] = owners.emplace(name, file);
      if (!is_new) {
        fail<ModelError>(folder.string(), ": ", name, " is in both ", owner->second, " and ", file);
      }
      checkpoint.tensors_.emplace(name, entry);
    }
  };
  if (std::filesystem::exists(folder / kSingle, code)) {
    checkpoint.source_ = kSingle;
    add(kSingle);
  } else if (std::filesystem::exists(folder / kIndex, code)) {
    checkpoint.source_ = kIndex;
    const Json weight_map = Json::load(folder / kIndex, kMaxIndex)["weight_map"];
    for (const std::string& shard : shard_names(weight_map)) add(shard);
    for (const auto& item : weight_map.raw().items()) {
      const auto owner = owners.find(item.key());
      const std::string listed = item.value().get<std::string>();
      if (owner == owners.end() || owner->second != listed) {
        fail<ModelError>(folder.string(), ": ", kIndex, " puts ", item.key(), " in ", listed,
                         ", which does not hold it");
      }
    }
  } else {
    fail<ModelError>(folder.string(), ": holds neither ", kSingle, " nor ", kIndex);
  }
  return checkpoint;
}

Checkpoint Checkpoint::of(MappedFile file, std::string source, Entries tensors) {
  Checkpoint checkpoint;
  checkpoint.source_ = std::move(source);
  checkpoint.files_.push_back(std::move(file));
  checkpoint.tensors_ = std::move(tensors);
  return checkpoint;
}

void Checkpoint::release(const TensorEntry& entry) const {
  const std::less_equal<const std::byte*> before;  // a total order, also between two files
  for (const MappedFile& file : files_) {
    const std::span<const std::byte> all = file.bytes();
    if (before(all.data(), entry.bytes.data()) &&
        before(entry.bytes.data() + entry.bytes.size(), all.data() + all.size())) {
      file.release(std::size_t(entry.bytes.data() - all.data()), entry.bytes.size());
      return;
    }
  }
}

std::size_t Checkpoint::bytes() const {
  std::size_t total = 0;
  for (const auto& [name, entry] : tensors_) total += entry.bytes.size();
  return total;
}

}  // namespace chiasm
