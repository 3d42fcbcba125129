#pragma once
/// What a GGUF architecture is called here, and where it keeps things otherwise than a folder.
#include <span>
#include <string_view>

#include "core/gguf.h"

namespace chiasm {

/// A tensor's name in the file and in a folder: whole outside the layers, inside them without
/// "blk.N." and ".weight".
struct GgufName {
  std::string_view gguf, here;
};

struct GgufArchitecture {
  std::string_view name;        // general.architecture, and the prefix of its keys
  std::string_view model_type;  // of a folder's config.json
  std::string_view layers;      // what stands before a layer's number in a folder
  std::span<const GgufName> outside, inside;
  bool interleaved = false;  // rows of q and k lie as BlockRows::interleaved says
};

/// The architecture that the file names. ModelError for one that is not known.
const GgufArchitecture& gguf_architecture(const GgufContents& gguf);

}  // namespace chiasm
