#pragma once
/// A checkpoint of random tensors for the tests of one module, and the values that went into it.
#include <bit>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/weights.h"
#include "tests/support/kernels.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temp_folder.h"

namespace chiasm::testing {

class RandomCheckpoint {
 public:
  /// Normally distributed float32 values; each tensor has its own.
  void add(const std::string& name, const Shape& shape, float mean = 0, float deviation = 1) {
    const auto seed = unsigned(std::hash<std::string>{}(name));
    tensors_[name] = {shape, random_floats(shape.count(), seed, mean, deviation)};
  }

  const std::vector<float>& values(const std::string& name) const {
    return tensors_.at(name).values;
  }

  /// The tensors so far; this object must outlive what is given back.
  Weights weights() {
    std::string header = "{", data;
    for (const auto& [name, tensor] : tensors_) {
      const std::size_t begin = data.size();
      for (const float v : tensor.values) data += little_endian(std::bit_cast<std::uint32_t>(v), 4);
      std::string sides;
      for (const std::int64_t side : tensor.shape.dims()) {
        sides += (sides.empty() ? "" : ",") + std::to_string(side);
      }
      header += (begin == 0 ? "\"" : ",\"") + name + R"(":{"dtype":"F32","shape":[)" + sides +
                R"(],"data_offsets":[)" + std::to_string(begin) + "," +
                std::to_string(data.size()) + "]}";
    }
    folder_.write("model.safetensors", safetensors_bytes(header + "}", data));
    checkpoint_ = Checkpoint::open(folder_.path());
    return Weights(*checkpoint_);
  }

 private:
  struct Entry {
    Shape shape;
    std::vector<float> values;
  };
  TempFolder folder_;
  std::map<std::string, Entry> tensors_;
  std::optional<Checkpoint> checkpoint_;
};

}  // namespace chiasm::testing
