#pragma once
/// How a sentence-transformers folder makes one vector of a text's tokens: modules.json and the
/// files that it names.
#include <cstdint>
#include <filesystem>
#include <optional>

#include "projector/pooling.h"
#include "runtime/embedder.h"

namespace chiasm {

struct SentenceSettings {
  projector::Pooling pooling = projector::Pooling::mean;  // also of a folder without modules.json
  std::optional<std::int64_t> max_tokens;                 // where the folder says so
  EmbedderPrompts prompts;

  /// ModelError for a module or a setting that cannot be followed.
  static SentenceSettings load(const std::filesystem::path& folder);
};

}  // namespace chiasm
