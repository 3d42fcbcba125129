#pragma once
/// Model folders of large shapes with weights from an integer hash: the same bytes as
/// tests/reference/hash_weights.py writes.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/dtype.h"
#include "core/json.h"

namespace chiasm::testing {

struct HashTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::optional<int> power;  // of two, that the integers are multiplied with; none: the usual one
  std::int64_t count() const;
};

/// Every tensor of the folder whose other files are `files`, in file order: those that its
/// tensors.json lists or, without one, those of its config.json (idefics3).
std::vector<HashTensor> hash_tensors(const std::filesystem::path& files);

/// Values [first, first + count) of a tensor, each exact in bfloat16; `first` divisible by 4.
std::vector<bf16> hash_values(const HashTensor& tensor, std::int64_t first, std::int64_t count);

/// tokenizer.json's text: a byte-level vocabulary made by a rule.
std::string synthetic_tokenizer();

/// Writes the folder's weights beside copies of `files`, unless they are there; a tokenizer too,
/// where `files` has none.
void write_hash_checkpoint(const std::filesystem::path& files, const std::filesystem::path& folder);

}  // namespace chiasm::testing
