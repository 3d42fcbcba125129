#pragma once
/// From a model folder to everything an engine needs.
#include <memory>

#include "core/safetensors.h"
#include "runtime/engine.h"
#include "runtime/family.h"
#include "runtime/model.h"

namespace chiasm {

struct LoadedModel {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<language::Tokenizer> tokenizer;
  std::unique_ptr<Family> family;
  EngineOptions engine_options;
  ModelInfo info;

  Context context() const {
    Context ctx;
    ctx.pool = pool.get();
    ctx.isa = best_isa();
    return ctx;
  }
};

/// Reads config.json, the tokenizer and the weights of a folder, or all of it from a .gguf file.
/// ModelError, DeviceError, RequestError (options).
LoadedModel load_model(const std::filesystem::path& path, const LoadOptions& options);

}  // namespace chiasm
