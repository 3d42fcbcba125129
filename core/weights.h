#pragma once
/// Finding a checkpoint's tensors by name, once each, with every shape checked.
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/packed_file.h"
#include "core/safetensors.h"
#include "core/tensor.h"

namespace chiasm {

/// Hears of each matrix once it is packed; the bytes live as long as the model.
using PackSink = std::function<void(PackedMatrix)>;

/// One module's product y = x W^T in a model, by the name that adapters know it by.
struct Product {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  std::int64_t in = 0, out = 0;
  int layer = 0;           // of those that Weights::count_products counted
  std::int64_t first = 0;  // its first column, where several modules make one product
};

/// A view of one scope ("model.text_model.layers.3") of a Checkpoint. Remembers what was read, so
/// that `finish` can refuse a checkpoint with tensors nobody asked for. Copies share that memory.
class Weights {
 public:
  /// The Checkpoint must outlive all scopes. `progress` hears the fraction of tensors read so far.
  explicit Weights(const Checkpoint& checkpoint, std::function<void(double)> progress = {},
                   PackSink packed = {});

  /// The scope `name` inside this one; this one where the name is empty.
  Weights scope(std::string_view name) const;
  Weights scope(std::string_view name, std::int64_t index) const;

  bool has(std::string_view name) const;
  /// The shape of a tensor that the file may choose. ModelError when missing.
  const Shape& shape(std::string_view name) const;
  /// The tensor as it lies in the file. ModelError when missing ("model.safetensors has no tensor
  /// NAME") or of another shape (names the tensor and both shapes).
  const TensorEntry& entry(std::string_view name, const Shape& expected) const;
  /// A float32 copy, for vectors (norms, biases) and small tables. Takes float32, bfloat16,
  /// float16.
  Tensor floats(std::string_view name, const Shape& expected) const;
  /// Lets go of the file's pages behind `entry` once it has been packed.
  void release(const TensorEntry& entry) const;

  /// Tells who asked for it (to write a packed file) that the tensors `sources` of this scope are
  /// now one packed matrix called `name`.
  void packed(std::string_view name, std::span<const std::string> sources, std::string_view format,
              const Shape& shape, std::span<const std::byte> bytes) const;
  /// Notes the products whose weights are `names` ("q_proj.weight") of shapes [out, in], made as
  /// one with their outputs side by side. Returns how many were counted before.
  int count_products(std::span<const std::string> names, std::span<const Shape> shapes) const;
  const std::vector<Product>& products() const { return read_->products; }
  /// Full names of the tensors read so far.
  const std::set<std::string, std::less<>>& names_read() const { return read_->names; }

  /// Full name of `name` in this scope.
  std::string full(std::string_view name) const;
  /// Throws ModelError naming the tensors that were neither read nor accepted by `ignored`
  /// (given full names): a sign that the model is not what config.json says.
  void finish(const std::function<bool(std::string_view)>& ignored) const;

 private:
  struct Reading {
    std::set<std::string, std::less<>> names;
    std::function<void(double)> progress;
    PackSink packed;
    std::vector<Product> products;
    int layers = 0;
  };
  const Checkpoint* checkpoint_;
  std::shared_ptr<Reading> read_;
  std::string prefix_;
};

/// Converts `count` elements of `dtype` (float32, bfloat16, float16, float64) to float32.
void to_floats(const std::byte* data, DType dtype, std::int64_t count, float* out);

}  // namespace chiasm
