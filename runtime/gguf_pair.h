#pragma once
/// A language model and its vision encoder in two GGUF files, as one model of a Hugging Face
/// folder.
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "core/gguf.h"
#include "core/json.h"
#include "language/gguf_tokenizer.h"

namespace chiasm {

/// The projector's file that goes with the language model in `model`. `wanted`: its path, "none",
/// or empty: the one .gguf file of the same folder with "mmproj" in its name, if there is any.
/// ModelError for a path that is no file, and where several files could be meant.
std::optional<std::filesystem::path> find_projector(const std::filesystem::path& model,
                                                    const std::string& wanted);

struct GgufPair {
  Json config;    // config.json
  Json settings;  // of the image processor
  language::TokenName picture;
  DType encoder_dtype;  // of the encoder's matrices; u8: they are blocks
  std::map<std::string, TensorEntry, std::less<>> tensors;  // by the names that families ask for
};

/// Puts the two together; `text_config` is gguf_config(text). ModelError for a projector of a kind
/// that is not known, keys that are missing, of the wrong type or absurd, tensors that are not
/// known, and files that do not belong together: names both, and the shapes that do not fit.
GgufPair gguf_pair(const GgufContents& projector, const GgufContents& text,
                   const Json& text_config);

}  // namespace chiasm
