#include "core/weights.h"

#include <cstring>
#include <utility>

#include "core/error.h"

namespace chiasm {

namespace {

/// Elements may lie at odd addresses: a safetensors header can have any length.
template <class T>
void widen(const std::byte* data, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; i++) {
    T value;
    std::memcpy(&value, data + std::size_t(i) * sizeof(T), sizeof(T));
    out[i] = to_float(value);
  }
}

constexpr std::size_t kNamesShown = 8;  // of unread tensors; a wrong model has hundreds

}  // namespace

void to_floats(const std::byte* data, DType dtype, std::int64_t count, float* out) {
  switch (dtype) {
    case DType::f32:
      if (count > 0) std::memcpy(out, data, std::size_t(count) * sizeof(float));
      return;
    case DType::bf16:
      return widen<bf16>(data, count, out);
    case DType::f16:
      return widen<f16>(data, count, out);
    case DType::f64:
      for (std::int64_t i = 0; i < count; i++) {
        double value = 0;
        std::memcpy(&value, data + std::size_t(i) * sizeof(double), sizeof(double));
        out[i] = float(value);
      }
      return;
    case DType::i64:
    case DType::i32:
    case DType::i16:
    case DType::i8:
    case DType::u8:
    case DType::boolean:
      break;
  }
  fail<ModelError>("holds ", name(dtype), ", expected float32, bfloat16, float16 or float64");
}

Weights::Weights(const Checkpoint& checkpoint, std::function<void(double)> progress,
                 PackSink packed)
    : checkpoint_(&checkpoint), read_(std::make_shared<Reading>()) {
  read_->progress = std::move(progress);
  read_->packed = std::move(packed);
}

void Weights::packed(std::string_view name, std::span<const std::string> sources,
                     std::string_view format, const Shape& shape,
                     std::span<const std::byte> bytes) const {
  if (!read_->packed) return;
  PackedMatrix matrix{full(name), std::string(format), shape, bytes, {}};
  for (const std::string& source : sources) matrix.sources.push_back(full(source));
  read_->packed(std::move(matrix));
}

int Weights::count_products(std::span<const std::string> names,
                            std::span<const Shape> shapes) const {
  constexpr std::string_view kWeight = ".weight";
  std::int64_t first = 0;
  for (std::size_t i = 0; i < names.size(); i++) {
    std::string name = full(names[i]);
    if (name.ends_with(kWeight)) name.resize(name.size() - kWeight.size());
    const std::int64_t out = shapes[i][0];
    read_->products.push_back({std::move(name), shapes[i][1], out, read_->layers, first});
    first += out;
  }
  return read_->layers++;
}

std::string Weights::full(std::string_view name) const {
  if (prefix_.empty() || name.empty()) return prefix_ + std::string(name);
  return prefix_ + "." + std::string(name);
}

Weights Weights::scope(std::string_view name) const {
  Weights inner(*this);
  inner.prefix_ = full(name);
  return inner;
}

Weights Weights::scope(std::string_view name, std::int64_t index) const {
  return scope(std::string(name) + "." + std::to_string(index));
}

bool Weights::has(std::string_view name) const {
  return checkpoint_->tensors().contains(full(name));
}

const Shape& Weights::shape(std::string_view name) const {
  const auto it = checkpoint_->tensors().find(full(name));
  if (it == checkpoint_->tensors().end()) {
    fail<ModelError>(checkpoint_->source(), " has no tensor ", full(name));
  }
  return it->second.shape;
}

const TensorEntry& Weights::entry(std::string_view name, const Shape& expected) const {
  const std::string wanted = full(name);
  const auto it = checkpoint_->tensors().find(wanted);
  if (it == checkpoint_->tensors().end()) {
    fail<ModelError>(checkpoint_->source(), " has no tensor ", wanted);
  }
  if (!(it->second.shape == expected)) {
    fail<ModelError>(checkpoint_->source(), ": ", wanted, ": shape ", it->second.shape,
                     ", config.json asks for ", expected);
  }
  read_->names.insert(wanted);
  if (read_->progress) {
    read_->progress(double(read_->names.size()) / double(checkpoint_->tensors().size()));
  }
  return it->second;
}

Tensor Weights::floats(std::string_view name, const Shape& expected) const {
  const TensorEntry& found = entry(name, expected);
  Tensor copy = float_tensor(expected);
  in_context(checkpoint_->source() + ": " + full(name), [&] {
    to_floats(found.bytes.data(), found.dtype, expected.count(), copy.view<float>().data());
  });
  return copy;
}

void Weights::release(const TensorEntry& entry) const { checkpoint_->release(entry); }

void Weights::finish(const std::function<bool(std::string_view)>& ignored) const {
  std::string names;
  std::size_t count = 0;
  for (const auto& [name, entry] : checkpoint_->tensors()) {
    if (read_->names.contains(name) || ignored(name)) continue;
    count++;
    if (count <= kNamesShown) names += (names.empty() ? "" : ", ") + name;
  }
  if (count == 0) return;
  if (count > kNamesShown) names += ", ...";
  fail<ModelError>(checkpoint_->source(), ": ", count,
                   " tensors that this family does not use (does config.json belong to this "
                   "checkpoint?): ",
                   names);
}

}  // namespace chiasm
