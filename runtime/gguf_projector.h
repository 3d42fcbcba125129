#pragma once
/// A vision encoder and projector in a GGUF file of its own ("mmproj"), in the terms of a Hugging
/// Face folder. Source of keys and names: llama.cpp's tools/mtmd and its converters.
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/gguf.h"
#include "core/json.h"
#include "runtime/gguf_architecture.h"

namespace chiasm {

/// One kind of projector (clip.projector_type), and the family that it makes of a language model.
struct GgufProjector {
  std::string_view name;
  std::span<const std::string_view> architectures;  // of language models that it goes with
  std::string_view image_token;                     // what the family calls a picture's row
  std::string_view tower, text;                     // scopes in a folder; "": as it is
  std::span<const GgufName> outside;                // tensors other than the encoder's
  std::string_view width;                           // the tensor that makes the rows,
  int width_at;                                     // and which of its dimensions tells their width
  /// config.json but for "text_config" and tokens, and the image processor's settings.
  nlohmann::json (*config)(const GgufContents&);
  nlohmann::json (*settings)(const GgufContents&);
};

/// The kind that the file names. ModelError for a file of another sort or a kind that is not known.
const GgufProjector& gguf_projector(const GgufContents& gguf);

/// A folder's name of a tensor of the file; empty where the kind has none such. `swapped`: see
/// has_swapped_layers.
std::string projector_name(const GgufProjector& kind, std::string_view name, bool swapped);

/// Whether the MLPs' two matrices are called by each other's names, as old converters did.
bool has_swapped_layers(const GgufContents& gguf);

}  // namespace chiasm
