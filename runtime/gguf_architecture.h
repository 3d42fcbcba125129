#pragma once
/// What a GGUF architecture is called here, and where it keeps things otherwise than a folder.
#include <span>
#include <string_view>

#include "core/gguf.h"

namespace chiasm {

/// What a tensor's shape is in a folder.
enum class GgufShape {
  same,
  row,   // all its numbers in one dimension
  taps,  // of a convolution over single channels: [channels, taps] is [channels, 1, taps]
};

/// A tensor's name in the file and in a folder: whole outside the layers; inside them without
/// "blk.N.", and without ".weight" and ".bias" where a folder has these too.
struct GgufName {
  std::string_view gguf, here;
  GgufShape shape = GgufShape::same;
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
