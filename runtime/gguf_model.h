#pragma once
/// A GGUF file of a language model, in the terms of a Hugging Face folder: that way one family file
/// serves both.
#include "core/gguf.h"
#include "core/json.h"

namespace chiasm {

/// The config.json that the metadata amounts to. ModelError for an architecture other than llama.
Json gguf_config(const GgufContents& gguf);

/// The tensors by the names that family files ask for. llama's q and k are marked as interleaved.
/// ModelError for a name that is not known. Takes the map that `gguf` points into.
Checkpoint gguf_checkpoint(MappedFile file, const GgufContents& gguf);

}  // namespace chiasm
