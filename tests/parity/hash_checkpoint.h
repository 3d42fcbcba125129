#pragma once
/// A model folder of SmolVLM-256M's full shape with weights from an integer hash: the same bytes as
/// tests/reference/random_checkpoint.py writes.
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/dtype.h"
#include "core/json.h"

namespace chiasm::testing {

struct HashTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t count() const;
};

/// Every tensor of the shape that `config` (an idefics3 config.json) describes, in file order.
std::vector<HashTensor> hash_tensors(const Json& config);

/// Values [first, first + count) of a tensor, each exact in bfloat16; `first` divisible by 4.
std::vector<bf16> hash_values(const HashTensor& tensor, std::int64_t first, std::int64_t count);

/// tokenizer.json's text: a byte-level vocabulary made by a rule.
std::string synthetic_tokenizer();

/// Writes the folder's weights and tokenizer beside copies of `files`, unless they are there.
void write_hash_checkpoint(const std::filesystem::path& files, const std::filesystem::path& folder);

}  // namespace chiasm::testing
