#pragma once
/// adapter_config.json: what of it changes the numbers.
#include <cstdint>
#include <string_view>

#include "core/json.h"

namespace chiasm {

class LoraConfig {
 public:
  /// ModelError for settings that cannot be followed, FormatError for values of a wrong type.
  explicit LoraConfig(Json config);

  /// The factor on B A of a module: alpha / rank, or alpha / sqrt(rank).
  double scale(std::string_view module, std::int64_t rank) const;
  /// The rank that the file tells for a module.
  std::int64_t rank(std::string_view module) const;

 private:
  Json config_;
  bool stabilised_;
};

/// Whether a key of rank_pattern or alpha_pattern means a module: it is the end of the module's
/// path from a dot on ("q_proj", "layers.0.self_attn.q_proj"), or all of it after "^". ModelError
/// for keys that are regular expressions otherwise.
bool pattern_means(std::string_view key, std::string_view module);

}  // namespace chiasm
