#include "core/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "core/error.h"

namespace chiasm {

static_assert(std::endian::native == std::endian::little, "GGUF files are read as little-endian");

namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kDefaultAlignment = 32, kMaxAlignment = std::uint64_t(1) << 20;
constexpr std::uint64_t kMaxName = 65535;
constexpr int kMaxNesting = 4;
constexpr std::uint32_t kMaxRank = 4;

/// Bytes of one element; 0 for strings and arrays.
std::size_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

template <class T>
T read(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/// The integer of a type at `p`; none for other types and for what int64 cannot hold.
std::optional<std::int64_t> integer_at(GgufType type, const std::byte* p) {
  switch (type) {
    case GgufType::u8:
      return read<std::uint8_t>(p);
    case GgufType::i8:
      return read<std::int8_t>(p);
    case GgufType::u16:
      return read<std::uint16_t>(p);
    case GgufType::i16:
      return read<std::int16_t>(p);
    case GgufType::u32:
      return read<std::uint32_t>(p);
    case GgufType::i32:
      return read<std::int32_t>(p);
    case GgufType::i64:
      return read<std::int64_t>(p);
    case GgufType::u64: {
      const auto v = read<std::uint64_t>(p);
      if (v > std::uint64_t(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
      return std::int64_t(v);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> number_at(GgufType type, const std::byte* p) {
  if (type == GgufType::f32) return double(read<float>(p));
  if (type == GgufType::f64) return read<double>(p);
  if (type == GgufType::u64) return double(read<std::uint64_t>(p));
  const auto whole = integer_at(type, p);
  if (!whole) return std::nullopt;
  return double(*whole);
}

std::string_view text_at(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A tensor type this version reads.
struct TensorType {
  std::uint32_t code;
  DType dtype;
  std::optional<BlockType> blocks;
};
constexpr TensorType kTensorTypes[] = {
    {0, DType::f32, std::nullopt},      {1, DType::f16, std::nullopt},
    {2, DType::u8, BlockType::q4_0},    {3, DType::u8, BlockType::q4_1},
    {6, DType::u8, BlockType::q5_0},    {7, DType::u8, BlockType::q5_1},
    {8, DType::u8, BlockType::q8_0},    {10, DType::u8, BlockType::q2_k},
    {11, DType::u8, BlockType::q3_k},   {12, DType::u8, BlockType::q4_k},
    {13, DType::u8, BlockType::q5_k},   {14, DType::u8, BlockType::q6_k},
    {20, DType::u8, BlockType::iq4_nl}, {30, DType::bf16, std::nullopt},
};
constexpr std::string_view kKnownTypes =
    "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K and IQ4_NL";

}  // namespace

void GgufValue::wrong(std::string_view expected) const {
  fail<FormatError>(where_, ": expected ", expected, ", it has type ", std::uint32_t(type_));
}

std::int64_t GgufValue::integer() const {
  const auto v = scalar_bytes(type_) > 0 ? integer_at(type_, bytes_.data()) : std::nullopt;
  if (!v) wrong("an integer");
  return *v;
}

double GgufValue::number() const {
  const auto v = scalar_bytes(type_) > 0 ? number_at(type_, bytes_.data()) : std::nullopt;
  if (!v) wrong("a number");
  return *v;
}

bool GgufValue::boolean() const {
  if (type_ != GgufType::boolean) wrong("a boolean");
  return bytes_[0] != std::byte(0);
}

std::string_view GgufValue::str() const {
  if (type_ != GgufType::string) wrong("a string");
  return text_at(bytes_);
}

std::vector<std::string_view> GgufValue::strings() const {
  if (type_ != GgufType::array || element_ != GgufType::string) wrong("an array of strings");
  std::vector<std::string_view> out;
  out.reserve(count_);
  const std::byte* p = bytes_.data();
  for (std::uint64_t i = 0; i < count_; i++) {
    const auto length = read<std::uint64_t>(p);
    out.push_back(text_at({p + 8, std::size_t(length)}));
    p += 8 + length;
  }
  return out;
}

template <class Convert>
auto GgufValue::all(std::string_view expected, const Convert& convert) const {
  const std::size_t size = scalar_bytes(element_);
  if (type_ != GgufType::array || size == 0) wrong(expected);
  std::vector<typename decltype(convert(element_, bytes_.data()))::value_type> out;
  out.reserve(count_);
  for (std::uint64_t i = 0; i < count_; i++) {
    const auto v = convert(element_, bytes_.data() + i * size);
    if (!v) wrong(expected);
    out.push_back(*v);
  }
  return out;
}

std::vector<std::int64_t> GgufValue::integers() const {
  return all("an array of integers", integer_at);
}

std::vector<double> GgufValue::numbers() const { return all("an array of numbers", number_at); }

std::vector<bool> GgufValue::booleans() const {
  return all("an array of booleans", [](GgufType type, const std::byte* p) {
    const bool known = type == GgufType::boolean && std::to_integer<int>(*p) <= 1;
    return known ? std::optional<bool>(std::to_integer<int>(*p) == 1) : std::nullopt;
  });
}

/// Walks the bytes from the front; every step checks what is left.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file) {
    contents_.file = file;
  }

  GgufContents parse();

 private:
  std::size_t left() const { return bytes_.size() - at_; }

  std::span<const std::byte> take(std::uint64_t count, std::string_view what) {
    if (count > left()) {
      fail<FormatError>(file_, ": ", what, " of ", count, " bytes at offset ", at_,
                        " runs past the end of the file (", bytes_.size(),
                        " bytes); is it truncated?");
    }
    const auto part = bytes_.subspan(at_, std::size_t(count));
    at_ += std::size_t(count);
    return part;
  }
  template <class T>
  T number(std::string_view what) {
    return read<T>(take(sizeof(T), what).data());
  }
  std::string name(std::string_view what) {
    const std::size_t begin = at_;
    const auto length = number<std::uint64_t>(what);
    if (length == 0 || length > kMaxName) {
      fail<FormatError>(file_, ": ", what, " at offset ", begin, " has ", length,
                        " bytes, expected 1 to ", kMaxName);
    }
    return std::string(text_at(take(length, what)));
  }
  std::uint64_t count(std::string_view what, std::uint64_t smallest) {
    const std::size_t begin = at_;
    const auto n = number<std::uint64_t>(what);
    if (n > bytes_.size() / smallest) {
      fail<FormatError>(file_, ": ", what, " at offset ", begin, " is ", n,
                        ", more than the file could hold");
    }
    return n;
  }
  GgufType type(const std::string& where) {
    const std::size_t begin = at_;
    const auto code = number<std::uint32_t>("a type");
    if (code > std::uint32_t(GgufType::f64)) {
      fail<FormatError>(where, ": unknown type ", code, " at offset ", begin);
    }
    return GgufType(code);
  }

  void skip_elements(GgufType element, std::uint64_t n, const std::string& where, int depth);
  GgufValue value(const std::string& where);
  void metadata(std::uint64_t n);
  void tensors(std::uint64_t n);
  std::uint64_t tensor_bytes(const TensorType& type, const Shape& shape, const std::string& where);
  void place(std::uint64_t alignment);

  struct Placed {
    std::string name;
    std::uint64_t offset, bytes;
  };
  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::size_t at_ = 0;
  GgufContents contents_;
  std::vector<Placed> placed_;
};

void GgufParser::skip_elements(GgufType element, std::uint64_t n, const std::string& where,
                               int depth) {
  if (depth > kMaxNesting) {
    fail<FormatError>(where, ": arrays nested deeper than ", kMaxNesting, " at offset ", at_);
  }
  const std::size_t size = scalar_bytes(element);
  if (size > 0) {
    if (n > left() / size) {
      fail<FormatError>(where, ": an array of ", n, " elements at offset ", at_,
                        " runs past the end of the file (", bytes_.size(), " bytes)");
    }
    at_ += std::size_t(n) * size;
    return;
  }
  for (std::uint64_t i = 0; i < n; i++) {  // each takes at least 8 bytes, or the file ends
    if (element == GgufType::string) {
      take(number<std::uint64_t>(where), where);
    } else {
      const GgufType inner = type(where);
      const auto inner_count = number<std::uint64_t>(where);
      skip_elements(inner, inner_count, where, depth + 1);
    }
  }
}

GgufValue GgufParser::value(const std::string& where) {
  GgufValue v;
  v.where_ = where;
  v.type_ = type(where);
  if (v.type_ == GgufType::string) {
    const auto length = number<std::uint64_t>(where);
    v.bytes_ = take(length, where);
  } else if (v.type_ == GgufType::array) {
    v.element_ = type(where);
    v.count_ = number<std::uint64_t>(where);
    const std::size_t begin = at_;
    skip_elements(v.element_, v.count_, where, 1);
    v.bytes_ = bytes_.subspan(begin, at_ - begin);
  } else {
    v.bytes_ = take(scalar_bytes(v.type_), where);
    if (v.type_ == GgufType::boolean && std::to_integer<int>(v.bytes_[0]) > 1) {
      fail<FormatError>(where, ": a boolean of ", std::to_integer<int>(v.bytes_[0]), " at offset ",
                        at_ - 1);
    }
  }
  return v;
}

void GgufParser::metadata(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; i++) {
    const std::size_t begin = at_;
    const std::string key = name("a metadata key");
    const auto [it, is_new] = contents_.metadata.emplace(key, value(file_ + ": " + key));
    if (!is_new) fail<FormatError>(file_, ": ", key, ": a second time at offset ", begin);
  }
}

std::uint64_t GgufParser::tensor_bytes(const TensorType& t, const Shape& shape,
                                       const std::string& where) {
  std::int64_t total = 1;
  for (const std::int64_t d : shape.dims()) {
    if (__builtin_mul_overflow(total, d, &total)) {
      fail<FormatError>(where, ": shape ", shape, " is too large");
    }
  }
  auto unit = std::int64_t(size_of(t.dtype));
  if (t.blocks) {
    const std::int64_t block = block_values(*t.blocks);
    if (shape[-1] % block != 0) {
      fail<FormatError>(where, ": rows of ", shape[-1], " do not divide into blocks of ", block);
    }
    total /= block;
    unit = std::int64_t(block_bytes(*t.blocks));
  }
  if (__builtin_mul_overflow(total, unit, &total)) {
    fail<FormatError>(where, ": shape ", shape, " is too large");
  }
  return std::uint64_t(total);
}

void GgufParser::tensors(std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; i++) {
    const std::size_t begin = at_;
    const std::string tensor = name("a tensor name"), where = file_ + ": " + tensor;
    const auto rank = number<std::uint32_t>(where);
    if (rank < 1 || rank > kMaxRank) {
      fail<FormatError>(where, ": rank ", rank, " at offset ", at_ - 4, ", expected 1 to ",
                        kMaxRank);
    }
    std::vector<std::int64_t> sizes;  // the file has the fastest dimension first
    for (std::uint32_t d = 0; d < rank; d++) {
      const auto size = number<std::uint64_t>(where);
      if (size < 1 || size > std::uint64_t(std::numeric_limits<std::int64_t>::max())) {
        fail<FormatError>(where, ": a dimension of ", size, " at offset ", at_ - 8);
      }
      sizes.insert(sizes.begin(), std::int64_t(size));
    }
    const auto code = number<std::uint32_t>(where);
    const auto* const known = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                           [&](const TensorType& t) { return t.code == code; });
    if (known == std::end(kTensorTypes)) {
      fail<FormatError>(where, ": tensor type ", code, " at offset ", at_ - 4,
                        " is not supported; ", kKnownTypes, " are");
    }
    const auto offset = number<std::uint64_t>(where);
    TensorEntry entry{known->dtype, Shape(sizes), {}, known->blocks};
    placed_.push_back({tensor, offset, tensor_bytes(*known, entry.shape, where)});
    if (!contents_.tensors.emplace(tensor, entry).second) {
      fail<FormatError>(where, ": a second time at offset ", begin);
    }
  }
}

/// Gives each tensor its bytes: aligned, inside the file, and its own.
void GgufParser::place(std::uint64_t alignment) {
  const std::uint64_t base = (at_ + alignment - 1) / alignment * alignment;
  const std::uint64_t size = base < bytes_.size() ? bytes_.size() - base : 0;
  std::sort(placed_.begin(), placed_.end(),
            [](const Placed& a, const Placed& b) { return a.offset < b.offset; });
  std::uint64_t reached = 0;
  for (const Placed& p : placed_) {
    const auto bad = [&](std::string_view why) {
      fail<FormatError>(file_, ": ", p.name, ": ", p.bytes, " bytes at ", p.offset,
                        " in the data (which begins at offset ", base, ") ", why);
    };
    if (p.offset % alignment != 0) bad("are not aligned");
    if (p.offset > size || p.bytes > size - p.offset) bad("lie past the end of the file");
    if (p.offset < reached) bad("overlap another tensor");
    reached = p.offset + p.bytes;
    contents_.tensors.find(p.name)->second.bytes =
        bytes_.subspan(std::size_t(base + p.offset), std::size_t(p.bytes));
  }
}

GgufContents GgufParser::parse() {
  if (bytes_.size() < 4 || number<std::uint32_t>("the magic number") != kMagic) {
    fail<FormatError>(file_, ": does not begin with \"GGUF\" at offset 0");
  }
  const auto version = number<std::uint32_t>("the version");
  if (version != 2 && version != 3) {
    fail<FormatError>(file_, ": version ", version,
                      " at offset 4, expected 2 or 3 (little-endian)");
  }
  const std::uint64_t tensor_count = count("the number of tensors", 32);
  const std::uint64_t metadata_count = count("the number of metadata values", 13);
  metadata(metadata_count);
  std::uint64_t alignment = kDefaultAlignment;
  if (const GgufValue* chosen = contents_.find("general.alignment")) {
    const std::int64_t v = chosen->integer();
    if (v < 1 || v > std::int64_t(kMaxAlignment) || !std::has_single_bit(std::uint64_t(v))) {
      fail<FormatError>(chosen->where(), ": ", v, " is no power of two up to ", kMaxAlignment);
    }
    alignment = std::uint64_t(v);
  }
  tensors(tensor_count);
  place(alignment);
  return std::move(contents_);
}

const GgufValue* GgufContents::find(std::string_view key) const {
  const auto it = metadata.find(key);
  return it == metadata.end() ? nullptr : &it->second;
}

const GgufValue& GgufContents::at(std::string_view key) const {
  const GgufValue* const value = find(key);
  if (value == nullptr) fail<FormatError>(file, ": has no metadata ", key);
  return *value;
}

GgufContents parse_gguf(std::span<const std::byte> bytes, const std::string& file) {
  return GgufParser(bytes, file).parse();
}

}  // namespace chiasm
