#pragma once
/// What a GGUF architecture is called here, and where it keeps things otherwise than a folder.
#include <span>
#include <string_view>

#include "core/gguf.h"

namespace chiasm {

/// A tensor's name in the file (without "blk.N." and ".weight") and in a folder.
struct GgufName {
  std::string_view gguf, here;
};

struct GgufArchitecture {
  std::string_view name;            // general.architecture, and the prefix of its keys
  std::string_view model_type;      // of a folder's config.json
  std::span<const GgufName> norms;  // besides those that all have
  bool interleaved;                 // rows of q and k lie as BlockRows::interleaved says
};

/// The architecture that the file names. ModelError for one that is not known.
const GgufArchitecture& gguf_architecture(const GgufContents& gguf);

}  // namespace chiasm
