#pragma once
/// A GGUF file of a language model, in the terms of a Hugging Face folder: that way one family file
/// serves both.
#include "core/gguf.h"
#include "core/json.h"

namespace chiasm {

/// The config.json that the metadata amounts to, of the architectures llama, qwen2, qwen3, gemma,
/// gemma2, gemma3, phi3, smollm3, gpt2 and mamba2. ModelError for others, and for rotary positions
/// scaled in a way that is not known. Source of the keys: gguf-py's constants.py and llama.cpp's
/// converters.
Json gguf_config(const GgufContents& gguf);

/// The tensors by the names that family files ask for. llama's and smollm3's q and k are marked as
/// interleaved. ModelError for a name that is not known.
std::map<std::string, TensorEntry, std::less<>> gguf_tensors(const GgufContents& gguf);

}  // namespace chiasm
