#pragma once
/// A model's files, opened: configuration, tensors, tokenizer, and the number formats that the
/// options ask for. Nothing of it is computed on yet.
#include <filesystem>
#include <optional>
#include <string>

#include "core/json.h"
#include "core/mapped_file.h"
#include "core/safetensors.h"
#include "language/tokenizer.h"
#include "runtime/family.h"
#include "runtime/model.h"

namespace chiasm {

/// What a model is made from, whatever kind of file it came in.
struct ModelSource {
  Json config;
  Checkpoint checkpoint;
  language::Tokenizer tokenizer;
  WeightFormats formats;
  std::string quantize, packed_layout, chat_template;
  // Of two GGUF files: the second, and its image processor's settings.
  MappedFile projector = {};
  std::optional<Json> image_settings = std::nullopt;
};

/// A Hugging Face folder, or one of `chiasm quantize`. RequestError for number formats that are not
/// known or not those of the files, ModelError and FormatError for files that cannot be read.
ModelSource open_folder(const std::filesystem::path& folder, const LoadOptions& options);

/// A GGUF file, with its projector's beside it. Quantized tensors stay in the file's own blocks;
/// the formats are for the others. Errors as above.
ModelSource open_gguf(const std::filesystem::path& path, const LoadOptions& options);

}  // namespace chiasm
