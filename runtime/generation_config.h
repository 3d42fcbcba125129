#pragma once
/// What a folder's generation_config.json says about ending and suppressing tokens.
#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/json.h"

namespace chiasm {

struct GenerationConfig {
  std::vector<std::int32_t> end_tokens;        // any of them ends an answer
  std::vector<std::int32_t> suppressed;        // never chosen
  std::vector<std::int32_t> suppressed_first;  // never chosen as the first token

  /// Reads generation_config.json; end tokens it leaves out come from config.json (or its
  /// text_config), as in transformers. FormatError for ids outside [0, vocab_size).
  static GenerationConfig load(const std::filesystem::path& folder, const Json& config,
                               std::int64_t vocab_size);
};

}  // namespace chiasm
