#pragma once
/// How a sentence-transformers folder makes one vector of a text's tokens: modules.json and the
/// files that it names.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/activation_kind.h"
#include "projector/pooling.h"
#include "runtime/embedder.h"

namespace chiasm {

/// A layer behind the pooling, whose weights lie in a folder of their own.
struct DenseSettings {
  std::string folder;  // "2_Dense"
  std::int64_t in = 0, out = 0;
  bool bias = true;
  kernels::Activation activation = kernels::Activation::tanh;
};

struct SentenceSettings {
  projector::Pooling pooling = projector::Pooling::mean;  // also of a folder without modules.json
  std::optional<std::int64_t> max_tokens;                 // where the folder says so
  EmbedderPrompts prompts;
  std::vector<DenseSettings> dense;

  /// ModelError for a module or a setting that cannot be followed.
  static SentenceSettings load(const std::filesystem::path& folder);
};

}  // namespace chiasm
