#include "runtime/loader.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "core/device_list.h"
#include "core/resident.h"
#include "kernels/pages.h"
#include "runtime/attention_provider.h"
#include "runtime/device_weights.h"
#include "runtime/encoder_identity.h"
#include "runtime/generation_config.h"
#include "runtime/model_source.h"

namespace chiasm {

namespace {

/// Inner errors about a file's bytes or shapes become errors about the model.
template <class Work>
decltype(auto) as_model_error(const std::string& where, Work&& work) {
  try {
    return work();
  } catch (const FormatError& e) {
    throw ModelError(where + ": " + e.what());
  } catch (const ShapeError& e) {
    throw ModelError(where + ": " + e.what());
  } catch (ModelError& e) {
    if (std::string_view(e.what()).find(where) == std::string_view::npos) e.add_context(where);
    throw;
  }
}

std::string_view name(kernels::WeightFormat format) {
  switch (format) {
    case kernels::WeightFormat::f32:
      return "float32";
    case kernels::WeightFormat::bf16:
      return "bfloat16";
    case kernels::WeightFormat::f16:
      return "float16";
    case kernels::WeightFormat::q8:
    case kernels::WeightFormat::q8_rows:
      return "int8";
    case kernels::WeightFormat::q4:
      return "int4";
    default:  // those that are widened have no other name
      return kernels::format_name(format);
  }
}

DType kv_dtype(const LoadOptions& options, kernels::WeightFormat format) {
  if (options.kv_cache == "float32") return DType::f32;
  if (options.kv_cache == "bfloat16") return DType::bf16;
  if (options.kv_cache == "int8") return DType::i8;
  if (options.kv_cache == "auto") {
    return format == kernels::WeightFormat::f32 ? DType::f32 : DType::bf16;
  }
  fail<RequestError>("kv_cache \"", options.kv_cache,
                     "\" is not known; use auto, float32, bfloat16 or int8");
}

void check_threads(const LoadOptions& options) {
  if (options.threads < 0 || options.threads > 1024) {
    fail<RequestError>("threads is ", options.threads, ", expected between 0 (all) and 1024");
  }
}

std::int64_t context_length(const LoadOptions& options, std::int64_t trained) {
  if (options.max_context < 0 || options.max_context > trained) {
    fail<RequestError>("max_context is ", options.max_context, ", expected between 1 and the ",
                       trained, " positions of the model (0: all)");
  }
  return options.max_context == 0 ? trained : options.max_context;
}

/// Room for eight full contexts, but never over a quarter of the machine's memory unless one
/// context alone needs more; of several devices, the smallest's, so that what one can hold all can.
/// On the CPU, only pages that are used take memory.
std::int64_t cache_pages(const language::KvShape& shape, std::int64_t max_context,
                         const std::vector<LoadedDevice>& devices) {
  const std::int64_t one = kernels::pages_for(max_context) + 1;
  std::int64_t memory = std::int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  if (!devices.empty()) {
    const auto bytes = [](const LoadedDevice& d) { return d.device->report().memory_bytes; };
    memory = std::int64_t(bytes(*std::ranges::min_element(devices, {}, bytes)));
  }
  const auto page = std::int64_t(shape.token_bytes()) * kernels::kPageTokens;
  return page == 0 ? 8 * one : std::max(one, std::min(8 * one, memory / 4 / page));
}

/// How many finished sequences are remembered: fewer where each leaves much behind besides pages,
/// which the pages' own limit does not count.
std::size_t remembered(const language::KvShape& shape, std::size_t most) {
  constexpr std::size_t kMostBytes = std::size_t(256) << 20;
  return shape.fixed == 0 ? most : std::min(most, kMostBytes / shape.fixed_bytes());
}

/// No embedder runs on a device yet: "auto" is the CPU, and a device that is asked for by name is
/// an error, whether it is there or not.
void check_embedders_device(const std::string& device) {
  if (device == "auto" || choose_devices(device).empty()) return;
  fail<DeviceError>("device \"", device, "\": embedders do not run on a device yet; use \"cpu\"");
}

/// What keeps a model from running on a device; empty where nothing does.
std::string unfit_for_device(const LoadOptions& options, const Family& family) {
  const auto& decoder = family.decoder();
  if (!family.runs_on_device()) return "this family does not run on a device yet";
  if (decoder.needs_whole_prefix()) {
    return "short convolutions and state spaces do not run on a device yet";
  }
  if (options.kv_cache == "int8") return "a KV cache of int8 does not run on a device yet";
  return {};
}

/// The devices that the model runs on: those that the options name, or under "auto" one that is
/// there, where the model can run on it, else the CPU.
std::vector<ListedDevice> devices_for(std::vector<ListedDevice> named, const LoadOptions& options,
                                      const Family& family) {
  const std::string why = unfit_for_device(options, family);
  if (options.device == "auto") {
    return why.empty() ? choose_devices("auto") : std::vector<ListedDevice>();
  }
  if (!named.empty() && !why.empty()) {
    fail<DeviceError>("device \"", options.device, "\": ", why, "; use \"cpu\"");
  }
  return named;
}

std::string token_text(const language::Tokenizer& tokenizer, std::optional<std::int32_t> id) {
  return id ? std::string(tokenizer.token_text(*id)) : std::string();
}

Work decoder_work(const language::Decoder& decoder, DType kv_dtype) {
  const auto& c = decoder.config();
  Work work;
  work.token_macs = c.row_macs();
  work.head_macs = c.vocab_size * c.hidden_size;
  work.key_macs = c.layers_of(language::Mixer::attention) * 2 * c.heads * c.head_dim;
  work.step_bytes = std::int64_t(decoder.step_bytes());
  work.key_bytes = std::int64_t(decoder.kv_shape(kv_dtype).token_bytes());
  return work;
}

/// What a first answer touches of the program itself and of stacks, measured.
constexpr std::int64_t kProgramBytes = 1'500'000;

/// Memory besides weights: the tokenizer, tables, the program. How much resident memory grew while
/// the model was loaded tells, as long as nothing else was going on in the process.
std::int64_t fixed_bytes(const LoadedModel& model, std::int64_t before) {
  constexpr std::int64_t kMost = std::int64_t(64) << 20;  // more has another reason
  trim_heap();                                            // parsing leaves much behind
  std::int64_t weights = model.info.weight_bytes;
  if (!model.info.packed_layout.empty()) {
    for (const auto& [name, entry] : model.checkpoint->tensors()) {
      if (!entry.packed.empty()) weights -= std::int64_t(entry.bytes.size());
    }
  }
  return std::clamp<std::int64_t>(resident_bytes() - before - weights, 0, kMost) + kProgramBytes;
}

void describe(LoadedModel& model, const std::filesystem::path& path, const ModelSource& source) {
  ModelInfo& info = model.info;
  const auto& c = model.family->decoder().config();
  info.path = path.string();
  info.dtype = name(source.formats.plain);
  info.kv_dtype = chiasm::name(model.engine_options.kv_dtype);
  info.isa = chiasm::name(best_isa());
  info.device = model.devices.empty() ? "cpu" : "";
  for (const LoadedDevice& d : model.devices) {
    info.device += (info.device.empty() ? "" : ", ") + d.device->report().name;
  }
  info.threads = model.pool->threads();
  info.vocab_size = c.vocab_size;
  info.hidden_size = c.hidden_size;
  info.layers = c.layers;
  info.max_context = model.engine_options.max_context;
  info.eos_token_ids = model.engine_options.end_tokens;
  info.weight_bytes = std::int64_t(model.family->weight_bytes());
  info.file_bytes = std::int64_t(model.checkpoint->bytes());
  for (const auto& [tensor, entry] : model.checkpoint->tensors()) {
    info.parameters += entry.shape.count();
  }
  info.quantize = source.quantize;
  info.packed_layout = source.packed_layout;
  info.work = decoder_work(model.family->decoder(), model.engine_options.kv_dtype);
  info.chat_template = source.chat_template;
  info.bos_token = token_text(*model.tokenizer, model.tokenizer->bos_token());
  info.eos_token = token_text(*model.tokenizer, model.tokenizer->eos_token());
  model.family->describe(info);
  info.video_token = model.family->video_placeholder();
}

void check_path(const std::filesystem::path& path, bool gguf) {
  if (!std::filesystem::exists(path)) {
    fail<ModelError>(path.string(), ": no such ", gguf ? "file" : "folder",
                     "; give a Hugging Face model folder or a .gguf file");
  }
  if (gguf) return;
  if (!std::filesystem::is_directory(path)) {
    fail<ModelError>(path.string(),
                     ": is a file, expected a Hugging Face model folder or a .gguf file");
  }
  if (!std::filesystem::exists(path / "config.json")) {
    fail<ModelError>(path.string(), ": has no config.json; is it a Hugging Face model folder?");
  }
}

/// The config of a model that says no words: its output head, which the checkpoint lacks, is the
/// token table.
Json without_head(const Json& config) {
  nlohmann::json changed = config.raw();
  changed["tie_word_embeddings"] = true;
  return Json::parse(changed.dump(), config.where());
}

using MakeFamily = std::function<std::unique_ptr<Family>(const FamilyParts&)>;

LoadedModel load_with(const std::filesystem::path& path, const LoadOptions& options,
                      const PackSink& packed, const MakeFamily& make) {
  const std::int64_t before = resident_bytes();
  check_attention_provider(options);
  std::vector<ListedDevice> named;  // opened before the long work of loading
  if (options.device != "auto") named = choose_devices(options.device);
  const bool gguf = path.extension() == ".gguf" && !std::filesystem::is_directory(path);
  check_path(path, gguf);
  if (!gguf && !options.mmproj.empty()) {
    fail<RequestError>("mmproj is for a .gguf file; ", path.string(), " is a folder");
  }
  check_threads(options);
  return as_model_error(path.string(), [&] {
    LoadedModel model;
    model.pool = std::make_unique<ThreadPool>(options.threads);
    ModelSource source = gguf ? open_gguf(path, options) : open_folder(path, options);
    model.checkpoint = std::make_unique<Checkpoint>(std::move(source.checkpoint));
    model.tokenizer = std::make_unique<language::Tokenizer>(std::move(source.tokenizer));
    const Context ctx = model.context();
    const Weights weights(*model.checkpoint, options.progress, packed);
    model.family = make({ctx, path, source.config, weights, source.formats, *model.tokenizer,
                         source.image_settings});
    model.projector = std::move(source.projector);
    model.projector.release(0, model.projector.bytes().size());  // all of it is packed
    model.tensors_read = weights.names_read();
    model.products = weights.products();

    const auto& decoder = model.family->decoder();
    EngineOptions& engine = model.engine_options;
    engine.max_context = context_length(options, decoder.config().max_positions);
    engine.kv_dtype = kv_dtype(options, source.formats.plain);
    const bool encodes = model.family->image_token() || model.family->reads_sounds();
    for (ListedDevice& listed : devices_for(std::move(named), options, *model.family)) {
      Device& device = *listed.device;
      device.set_batch_invariant(options.batch_invariant);
      choose_attention_provider(&device, options);
      upload_decoder(decoder, context_of(*model.pool, &device), engine.kv_dtype);
      auto lane = encodes ? device.lane() : nullptr;  // with the settings above
      model.devices.push_back({std::move(listed), std::move(lane)});
    }
    if (model.devices.empty()) choose_attention_provider(nullptr, options);
    engine.encoder_device = model.places().front().encoder_device;
    engine.kv_pages =
        cache_pages(decoder.kv_shape(engine.kv_dtype), engine.max_context, model.devices);
    engine.remembered_prefixes =
        remembered(decoder.kv_shape(engine.kv_dtype), engine.remembered_prefixes);
    engine.limits.pictures.max_pixels = options.max_image_pixels;
    engine.limits.videos.max_taken = options.max_video_frames;
    engine.limits.sounds.max_seconds = options.max_audio_seconds;
    // A GGUF file has no such file beside it: the config alone counts.
    const auto generation =
        GenerationConfig::load(path, source.config, decoder.config().vocab_size);
    engine.end_tokens = generation.end_tokens;
    engine.suppressed = generation.suppressed;
    engine.suppressed_first = generation.suppressed_first;
    describe(model, path, source);
    model.info.fixed_bytes = fixed_bytes(model, before);
    if (!options.encoder_cache_dir.empty()) {
      engine.encoder_store = open_encoder_store(model, path, options);
    }
    return model;
  });
}

}  // namespace

LoadedModel load_model(const std::filesystem::path& path, const LoadOptions& options,
                       const PackSink& packed) {
  return load_with(path, options, packed, make_family);
}

LoadedRetriever load_retriever(const std::filesystem::path& folder, const LoadOptions& options) {
  std::optional<kernels::LinearLayer> head;
  std::optional<Json> config;
  LoadedModel model = load_with(folder, options, {}, [&](const FamilyParts& p) {
    config = p.config;
    const std::string type = p.config["model_type"].str();
    if (type != "colpali" && type != "colqwen2") {
      fail<ModelError>(p.config.where(), ": family \"", type,
                       "\" is not supported as a retriever; supported are: colpali, colqwen2");
    }
    const Json inner = without_head(p.config["vlm_config"]);
    const std::int64_t hidden = inner.has("text_config")
                                    ? inner["text_config"]["hidden_size"].integer()
                                    : inner["hidden_size"].integer();
    head.emplace(p.ctx, p.weights,
                 std::initializer_list<kernels::LinearPart>{
                     {"embedding_proj_layer", p.config.integer("embedding_dim", 128)}},
                 hidden, true, p.formats.plain);
    return make_family({p.ctx, p.folder, inner, p.weights.scope("vlm"), p.formats, p.tokenizer});
  });
  return {std::move(model), std::move(*head), *config};
}

LoadedEmbedder load_embedder(const std::filesystem::path& folder, const EmbedderOptions& options) {
  LoadOptions settings;  // the part that both kinds of model share
  settings.device = options.device;
  settings.dtype = options.dtype;
  settings.quantize = options.quantize;
  settings.threads = options.threads;
  check_embedders_device(settings.device);
  check_path(folder, /*gguf=*/false);
  check_threads(settings);
  return as_model_error(folder.string(), [&] {
    LoadedEmbedder model;
    model.pool = std::make_unique<ThreadPool>(settings.threads);
    ModelSource source = open_folder(folder, settings);
    model.checkpoint = std::make_unique<Checkpoint>(std::move(source.checkpoint));
    model.tokenizer = std::make_unique<language::Tokenizer>(std::move(source.tokenizer));
    const Context ctx = model.context();
    const Weights weights(*model.checkpoint, options.progress);
    model.family = make_embedder_family(
        {ctx, folder, source.config, weights, source.formats, *model.tokenizer});
    model.products = weights.products();
    EmbedderInfo& info = model.info;
    info.path = folder.string();
    info.dtype = name(source.formats.plain);
    info.quantize = source.quantize;
    info.isa = chiasm::name(ctx.isa);
    info.threads = model.pool->threads();
    info.weight_bytes = std::int64_t(model.family->weight_bytes());
    for (const auto& [tensor, entry] : model.checkpoint->tensors()) {
      info.parameters += entry.shape.count();
    }
    model.family->describe(info);
    info.prompts = model.family->prompts();
    if (source.packed_layout.empty()) model.checkpoint.reset();  // all is packed
    return model;
  });
}

}  // namespace chiasm
