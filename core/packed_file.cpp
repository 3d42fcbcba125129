#include "core/packed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/error.h"
#include "core/json.h"

namespace chiasm {

namespace {

using Entries = std::map<std::string, TensorEntry, std::less<>>;

constexpr std::string_view kVersion = "1";
constexpr std::size_t kDataAlignment = 4096;  // of the data in the file: whole pages
constexpr std::size_t kPiece = std::size_t(16) << 20;

std::string note(const Metadata& notes, const std::string& key, const std::string& file) {
  const auto at = notes.find(key);
  if (at == notes.end()) {
    fail<FormatError>(file, ": has no note \"", key, "\"; was it written by chiasm quantize?");
  }
  return at->second;
}

std::size_t padded(std::size_t bytes) {
  return (bytes + kPackedAlignment - 1) / kPackedAlignment * kPackedAlignment;
}

}  // namespace

PackedContents parse_packed(std::span<const std::byte> bytes, const std::string& file) {
  Metadata notes;
  PackedContents contents;
  contents.tensors = parse_safetensors(bytes, file, &notes);
  if (note(notes, "format", file) != "chiasm") {
    fail<FormatError>(file, ": its format is \"", notes.find("format")->second,
                      "\", expected \"chiasm\"; was it written by chiasm quantize?");
  }
  if (note(notes, "chiasm.version", file) != kVersion) {
    fail<FormatError>(file, ": packed files of version ", notes.find("chiasm.version")->second,
                      " are not known, only ", kVersion, "; quantize the original model again");
  }
  contents.header = {note(notes, "chiasm.layout", file), note(notes, "chiasm.quantize", file),
                     note(notes, "chiasm.dtype", file)};
  const Json matrices =
      Json::parse(note(notes, "chiasm.matrices", file), file + ": chiasm.matrices");
  if (!matrices.is_object()) fail<FormatError>(matrices.where(), ": expected an object");
  for (const auto& item : matrices.raw().items()) {
    const auto at = contents.tensors.find(item.key());
    const Json matrix = matrices[item.key()];
    if (at == contents.tensors.end() || at->second.dtype != DType::u8) {
      fail<FormatError>(matrix.where(), ": the file holds no bytes (U8) of this name");
    }
    const std::vector<std::int64_t> sizes = matrix["shape"].integers();
    const bool sane = sizes.size() >= 2 && sizes.size() <= Shape::kMaxRank &&
                      std::ranges::all_of(sizes, [](std::int64_t size) { return size > 0; });
    if (!sane) fail<FormatError>(matrix["shape"].where(), ": is not the shape of a matrix");
    at->second.shape = Shape(sizes);
    at->second.packed = matrix["format"].str();
    if (at->second.packed.empty()) fail<FormatError>(matrix.where(), ": its format is empty");
  }
  return contents;
}

bool has_packed_file(const std::filesystem::path& folder) {
  std::error_code code;
  return std::filesystem::exists(folder / kPackedFile, code);
}

std::pair<PackedHeader, Checkpoint> open_packed(const std::filesystem::path& folder) {
  std::error_code code;
  for (const char* other : {"model.safetensors", "model.safetensors.index.json"}) {
    if (std::filesystem::exists(folder / other, code)) {
      fail<ModelError>(folder.string(), ": holds both ", kPackedFile, " and ", other,
                       "; keep one of them");
    }
  }
  MappedFile mapped(folder / kPackedFile);
  PackedContents contents = parse_packed(mapped.bytes(), kPackedFile);
  return {std::move(contents.header),
          Checkpoint::of(std::move(mapped), kPackedFile, std::move(contents.tensors))};
}

namespace {

/// An open file that knows its name and how far it got.
class Writer {
 public:
  Writer(const std::filesystem::path& path, std::size_t total, std::function<void(double)> progress)
      : path_(path),
        total_(total),
        progress_(std::move(progress)),
        file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
    if (file_ < 0) fail_now();
  }
  ~Writer() { ::close(file_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void write(const void* data, std::size_t count) {
    const auto* at = static_cast<const char*>(data);
    while (count > 0) {
      const ssize_t done = ::write(file_, at, std::min(count, kPiece));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail_now();
      at += done;
      count -= std::size_t(done);
      written_ += std::size_t(done);
      if (progress_) progress_(double(written_) / double(std::max<std::size_t>(total_, 1)));
    }
  }
  /// Returns when the bytes are on the disk: a rename must not overtake them.
  void finish() {
    if (::fsync(file_) != 0) fail_now();
  }

 private:
  [[noreturn]] void fail_now() const {
    fail<ModelError>(path_.string(), ": cannot be written: ", std::strerror(errno), " (", written_,
                     " of ", total_, " bytes are there)");
  }

  std::filesystem::path path_;
  std::size_t total_, written_ = 0;
  std::function<void(double)> progress_;
  int file_;
};

std::string_view dtype_code(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "F64";
    case DType::f32:
      return "F32";
    case DType::f16:
      return "F16";
    case DType::bf16:
      return "BF16";
    case DType::i64:
      return "I64";
    case DType::i32:
      return "I32";
    case DType::i16:
      return "I16";
    case DType::i8:
      return "I8";
    case DType::u8:
      return "U8";
    case DType::boolean:
      return "BOOL";
  }
  fail<FormatError>("a tensor of dtype ", name(dtype), " has no code in safetensors");
}

/// The header's text: where every tensor will lie, and the notes.
std::string header_text(const PackedHeader& header, std::span<const PackedMatrix> matrices,
                        const Entries& others, std::size_t& data_bytes) {
  using nlohmann::json;
  json tensors = json::object(), forms = json::object();
  data_bytes = 0;
  const auto place = [&](const std::string& name, DType dtype, json shape, std::size_t bytes) {
    tensors[name] = {{"dtype", dtype_code(dtype)},
                     {"shape", std::move(shape)},
                     {"data_offsets", {data_bytes, data_bytes + bytes}}};
    data_bytes += bytes;
  };
  for (const PackedMatrix& m : matrices) {
    const std::size_t bytes = padded(m.bytes.size());
    place(m.name, DType::u8, json::array({bytes}), bytes);
    const auto dims = m.shape.dims();
    forms[m.name] = {{"format", m.format},
                     {"shape", std::vector<std::int64_t>(dims.begin(), dims.end())}};
  }
  for (const auto& [name, entry] : others) {
    const auto dims = entry.shape.dims();
    place(name, entry.dtype, std::vector<std::int64_t>(dims.begin(), dims.end()),
          entry.bytes.size());
  }
  tensors["__metadata__"] = {{"format", "chiasm"},
                             {"chiasm.version", kVersion},
                             {"chiasm.layout", header.layout},
                             {"chiasm.quantize", header.quantize},
                             {"chiasm.dtype", header.dtype},
                             {"chiasm.matrices", forms.dump()}};
  std::string text = tensors.dump();
  constexpr std::size_t kLength = 8;  // bytes of the header's length before it
  const std::size_t used = kLength + text.size();
  text.append((used + kDataAlignment - 1) / kDataAlignment * kDataAlignment - used, ' ');
  return text;
}

}  // namespace

void write_packed(const std::filesystem::path& file, const PackedHeader& header,
                  std::span<const PackedMatrix> matrices, const Entries& others,
                  const std::function<void(double)>& progress) {
  std::size_t data_bytes = 0;
  const std::string text = header_text(header, matrices, others, data_bytes);
  std::string length;
  for (int i = 0; i < 8; i++) length += char(std::uint64_t(text.size()) >> (8 * i) & 255);
  Writer writer(file, length.size() + text.size() + data_bytes, progress);
  writer.write(length.data(), length.size());
  writer.write(text.data(), text.size());
  const std::byte zeros[kPackedAlignment] = {};
  for (const PackedMatrix& m : matrices) {
    writer.write(m.bytes.data(), m.bytes.size());
    writer.write(zeros, padded(m.bytes.size()) - m.bytes.size());
  }
  for (const auto& [name, entry] : others) writer.write(entry.bytes.data(), entry.bytes.size());
  writer.finish();
}

}  // namespace chiasm
