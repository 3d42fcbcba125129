#include "language/sentencepiece_model.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>

#include "core/error.h"
#include "language/piece_merges.h"

namespace chiasm::language {

static_assert(std::endian::native == std::endian::little, "floats are read as little-endian");

namespace {

enum class Wire : std::uint64_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// A field of a message: its number, and its value by its wire type.
struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::varint;
  std::uint64_t value = 0;           // of a varint
  std::span<const std::byte> bytes;  // of the others
  std::size_t at = 0;                // where it begins in the file
};

/// Walks a message field by field; every step checks what is left.
class Message {
 public:
  Message(std::span<const std::byte> bytes, std::size_t offset, const std::string& file)
      : bytes_(bytes), offset_(offset), file_(file) {}

  bool done() const { return at_ == bytes_.size(); }

  Field next() {
    Field field;
    field.at = offset_ + at_;
    const std::uint64_t tag = varint();
    field.number = tag >> 3;
    if (field.number == 0) bad(field.at, "field number 0");
    field.wire = Wire(tag & 7);
    switch (field.wire) {
      case Wire::varint:
        field.value = varint();
        break;
      case Wire::fixed64:
        field.bytes = take(8);
        break;
      case Wire::bytes:
        field.bytes = take(varint());
        break;
      case Wire::fixed32:
        field.bytes = take(4);
        break;
      default:
        bad(field.at, "wire type " + std::to_string(tag & 7));
    }
    return field;
  }

  [[noreturn]] void bad(std::size_t at, const std::string& what) const {
    fail<FormatError>(file_, ": ", what, " at offset ", at, "; is it a SentencePiece model?");
  }

  // A field's value as what the message says it is.
  std::int64_t integer(const Field& f) const {
    expect(f, Wire::varint);
    return std::int32_t(std::uint32_t(f.value));  // negative ones are written as 64 bits
  }
  bool flag(const Field& f) const {
    expect(f, Wire::varint);
    return f.value != 0;
  }
  double number(const Field& f) const {
    expect(f, Wire::fixed32);
    float v = 0;
    std::memcpy(&v, f.bytes.data(), sizeof v);
    if (!std::isfinite(v)) bad(f.at, "a score that is not finite");
    return double(v);
  }
  std::string text(const Field& f) const {
    expect(f, Wire::bytes);
    return {reinterpret_cast<const char*>(f.bytes.data()), f.bytes.size()};
  }
  Message message(const Field& f) const {
    expect(f, Wire::bytes);
    const auto inside = std::size_t(f.bytes.data() - bytes_.data());
    return {f.bytes, offset_ + inside, file_};
  }

 private:
  void expect(const Field& f, Wire wire) const {
    if (f.wire == wire) return;
    bad(f.at, "field " + std::to_string(f.number) + " has wire type " +
                  std::to_string(std::uint64_t(f.wire)));
  }

  std::uint64_t varint() {
    const std::size_t begin = at_;
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) bad(offset_ + begin, "a number that runs past the end");
      const auto byte = std::to_integer<std::uint64_t>(bytes_[at_++]);
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    bad(offset_ + begin, "a number of more than 10 bytes");
  }

  std::span<const std::byte> take(std::uint64_t count) {
    if (count > bytes_.size() - at_) {
      bad(offset_ + at_, "a field of " + std::to_string(count) + " bytes that runs past the end");
    }
    const auto part = bytes_.subspan(at_, std::size_t(count));
    at_ += std::size_t(count);
    return part;
  }

  std::span<const std::byte> bytes_;
  std::size_t offset_, at_ = 0;
  const std::string& file_;
};

/// ModelProto.SentencePiece.
void read_piece(Message m, SentencePieceModel& model) {
  std::string piece;
  double score = 0;
  std::int64_t kind = kNormal;
  while (!m.done()) {
    const Field f = m.next();
    if (f.number == 1) piece = m.text(f);
    if (f.number == 2) score = m.number(f);
    if (f.number != 3) continue;
    kind = m.integer(f);
    if (kind < kNormal || kind > kByte) m.bad(f.at, "a piece of kind " + std::to_string(kind));
  }
  model.pieces.push_back(std::move(piece));
  model.scores.push_back(score);
  model.kinds.push_back(kind);
}

/// TrainerSpec.
void read_trainer(Message m, SentencePieceModel& model) {
  while (!m.done()) {
    const Field f = m.next();
    switch (f.number) {
      case 3: {
        const std::int64_t kind = m.integer(f);
        if (kind < 1 || kind > 4) m.bad(f.at, "a model of kind " + std::to_string(kind));
        model.kind = SentencePieceModel::Kind(kind);
        break;
      }
      case 24:
        model.space_behind = m.flag(f);
        break;
      case 35:
        model.byte_fallback = m.flag(f);
        break;
      case 40:
        model.unknown_id = m.integer(f);
        break;
      case 41:
        model.begin_id = m.integer(f);
        break;
      case 42:
        model.end_id = m.integer(f);
        break;
      default:  // how it was trained
        break;
    }
  }
}

/// NormalizerSpec.
void read_normalizer(Message m, SentencePieceModel& model) {
  while (!m.done()) {
    const Field f = m.next();
    if (f.number == 2) model.charsmap = m.text(f);
    if (f.number == 3) model.prefixed = m.flag(f);
    if (f.number == 4) model.trims = m.flag(f);
    if (f.number == 5) model.escapes_spaces = m.flag(f);
  }
}

}  // namespace

SentencePieceModel parse_sentencepiece(std::span<const std::byte> bytes, const std::string& file) {
  SentencePieceModel model;
  Message m(bytes, 0, file);
  while (!m.done()) {
    const Field f = m.next();
    if (f.number == 1) read_piece(m.message(f), model);
    if (f.number == 2) read_trainer(m.message(f), model);
    if (f.number == 3) read_normalizer(m.message(f), model);
  }
  const auto count = std::int64_t(model.pieces.size());
  if (count == 0) fail<FormatError>(file, ": holds no pieces; is it a SentencePiece model?");
  for (const std::int64_t id : {model.unknown_id, model.begin_id, model.end_id}) {
    if (id < -1 || id >= count) {
      fail<FormatError>(file, ": id ", id, " of a special piece is outside the ", count, " pieces");
    }
  }
  return model;
}

}  // namespace chiasm::language
