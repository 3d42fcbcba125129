#pragma once
/// From a model folder to everything an engine needs.
#include <memory>

#include "core/safetensors.h"
#include "runtime/embedder.h"
#include "runtime/embedder_family.h"
#include "runtime/engine.h"
#include "runtime/family.h"
#include "runtime/model.h"

namespace chiasm {

inline Context context_of(ThreadPool& pool) {
  Context ctx;
  ctx.pool = &pool;
  ctx.isa = best_isa();
  return ctx;
}

struct LoadedModel {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<language::Tokenizer> tokenizer;
  std::unique_ptr<Family> family;
  EngineOptions engine_options;
  ModelInfo info;

  Context context() const { return context_of(*pool); }
};

struct LoadedEmbedder {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<language::Tokenizer> tokenizer;
  std::unique_ptr<EmbedderFamily> family;
  EmbedderInfo info;

  Context context() const { return context_of(*pool); }
};

/// Reads config.json, the tokenizer and the weights of a folder, or all of it from a .gguf file.
/// ModelError, DeviceError, RequestError (options).
LoadedModel load_model(const std::filesystem::path& path, const LoadOptions& options);

/// Reads a folder as an embedder. The same errors.
LoadedEmbedder load_embedder(const std::filesystem::path& folder, const EmbedderOptions& options);

}  // namespace chiasm
