#pragma once
/// From a model folder to everything an engine needs.
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/device_list.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "kernels/linear_layer.h"
#include "runtime/embedder.h"
#include "runtime/embedder_family.h"
#include "runtime/engines.h"
#include "runtime/family.h"
#include "runtime/model.h"

namespace chiasm {

inline Context context_of(ThreadPool& pool, Device* device = nullptr) {
  Context ctx;
  ctx.pool = &pool;
  ctx.isa = best_isa();
  ctx.device = device;
  return ctx;
}

/// A device that a model runs on.
struct LoadedDevice : ListedDevice {
  std::unique_ptr<Device> encoder_lane;  // of it, for families with media; else null
};

struct LoadedModel {
  std::unique_ptr<ThreadPool> pool;
  std::vector<LoadedDevice> devices;       // none: the CPU
  std::unique_ptr<Checkpoint> checkpoint;  // matrices of a packed file lie in it
  MappedFile projector;                    // the second of two GGUF files
  std::unique_ptr<language::Tokenizer> tokenizer;
  std::unique_ptr<Family> family;
  EngineOptions engine_options;
  ModelInfo info;
  std::set<std::string, std::less<>> tensors_read;
  std::vector<Product> products;  // what adapters may change

  /// Of the first device.
  Context context() const { return places().front().ctx; }
  /// Each device, or the CPU.
  std::vector<EnginePlace> places() const {
    std::vector<EnginePlace> out;
    for (const LoadedDevice& d : devices) {
      out.push_back({context_of(*pool, d.device.get()), d.encoder_lane.get(), d.word});
    }
    if (out.empty()) out.push_back({context_of(*pool), nullptr, "cpu"});
    return out;
  }
};

/// A model whose rows a matrix carries into a space for retrieval (colpali, colqwen2).
struct LoadedRetriever {
  LoadedModel model;  // of "vlm_config", its weights under "vlm"
  kernels::LinearLayer head;
  Json config;
};

struct LoadedEmbedder {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Checkpoint> checkpoint;  // likewise
  std::unique_ptr<language::Tokenizer> tokenizer;
  std::unique_ptr<EmbedderFamily> family;
  EmbedderInfo info;
  std::vector<Product> products;  // likewise

  Context context() const { return context_of(*pool); }
};

/// Reads config.json, the tokenizer and the weights of a folder, or all of it from a .gguf file.
/// `packed` hears of each matrix that was packed. ModelError, DeviceError, RequestError (options).
LoadedModel load_model(const std::filesystem::path& path, const LoadOptions& options,
                       const PackSink& packed = {});

/// Reads a folder as a retriever. The same errors.
LoadedRetriever load_retriever(const std::filesystem::path& folder, const LoadOptions& options);

/// Reads a folder as an embedder. The same errors.
LoadedEmbedder load_embedder(const std::filesystem::path& folder, const EmbedderOptions& options);

}  // namespace chiasm
