#pragma once
/// Low-rank adapters as PEFT writes them: a folder of adapter_config.json and
/// adapter_model.safetensors.
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "core/context.h"
#include "core/hash.h"
#include "core/weights.h"
#include "kernels/adapter.h"

namespace chiasm {

/// An adapter that fits a loaded model. Immutable, shareable.
struct Lora {
  std::string name, path;
  kernels::Adapter weights;
  std::uint64_t id = 0;          // no two of a model are alike: part of the prefix cache's keys
  ContentHash content;           // of its files, where it changes the encoder
  std::int64_t modules = 0;      // that it changes
  bool changes_encoder = false;  // whether it changes more than the text decoder
};

/// Reads an adapter for a model of these products. Names of modules may be those of any version of
/// transformers; `float32` matrices, s = lora_alpha / r (or / sqrt(r), rank-stabilised LoRA) folded
/// into B. ModelError that names the file and the tensor or setting: for what is missing or
/// damaged, for modules that the model lacks (unless their B is zero), shapes that do not fit (both
/// are told) and for kinds that are not LoRA alone (DoRA, biases, modules that are saved whole).
/// Source: peft.tuners.lora, version 0.21.
Lora load_lora(const Context& ctx, const std::filesystem::path& folder,
               std::span<const Product> products);

/// A module's path without the parts that came and went with transformers' versions:
/// "layers.0.self_attn.q_proj" of "model.language_model.layers.0.self_attn.q_proj".
std::string plain_module_name(std::string_view path);

}  // namespace chiasm
