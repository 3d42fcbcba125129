#include "runtime/sentence_settings.h"

#include <string_view>

#include "core/error.h"
#include "core/json.h"

namespace chiasm {

namespace {

using projector::Pooling;

Pooling pooling_named(std::string_view name, const Json& config) {
  if (name == "cls") return Pooling::first;
  if (name == "mean") return Pooling::mean;
  if (name == "max") return Pooling::max;
  if (name == "lasttoken") return Pooling::last;
  fail<ModelError>(config.where(), ": pooling \"", name,
                   "\" is not supported; cls, mean, max and lasttoken are");
}

/// 1_Pooling/config.json: one flag for each way, or, in files by newer versions, its name.
Pooling read_pooling(const Json& config) {
  if (config.has("pooling_mode")) return pooling_named(config["pooling_mode"].str(), config);
  std::string chosen;
  for (const std::string_view way : {"cls_token", "mean_tokens", "max_tokens",
                                     "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"}) {
    if (!config.boolean("pooling_mode_" + std::string(way), false)) continue;
    if (!chosen.empty()) {
      fail<ModelError>(config.where(), ": pooling both by ", chosen, " and by ", way,
                       " is not supported");
    }
    chosen = way;
  }
  const std::string name = chosen.ends_with("_token")    ? chosen.substr(0, chosen.size() - 6)
                           : chosen.ends_with("_tokens") ? chosen.substr(0, chosen.size() - 7)
                                                         : chosen;
  return pooling_named(name, config);
}

/// The last word of "sentence_transformers.models.Pooling", whatever stands before it.
std::string module_name(const std::string& type) {
  const auto dot = type.rfind('.');
  return dot == std::string::npos ? type : type.substr(dot + 1);
}

/// The path of a module, which may not lead out of the model.
std::string module_folder(const Json& module) {
  std::string path = module["path"].str();
  const bool plain = !path.empty() && path != "." && path != ".." &&
                     path.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!plain) fail<ModelError>(module.where(), ": path ", module["path"].brief(), " is no folder");
  return path;
}

/// 2_Dense/config.json.
DenseSettings read_dense(const std::string& folder, const Json& config) {
  constexpr std::int64_t kMost = 1 << 16;
  DenseSettings out{.folder = folder,
                    .in = config["in_features"].integer(),
                    .out = config["out_features"].integer(),
                    .bias = config.boolean("bias", true)};
  if (out.in < 1 || out.in > kMost || out.out < 1 || out.out > kMost) {
    fail<ModelError>(config.where(), ": a layer from ", out.in, " to ", out.out, " numbers");
  }
  const std::string name =
      module_name(config.str("activation_function", "torch.nn.modules.activation.Tanh"));
  if (name == "Identity") {
    out.activation = kernels::Activation::none;
  } else if (name == "ReLU") {
    out.activation = kernels::Activation::relu;
  } else if (name == "GELU") {
    out.activation = kernels::Activation::gelu;
  } else if (name != "Tanh") {
    fail<ModelError>(config.where(), ": activation_function ", name,
                     " is not supported; Tanh, Identity, ReLU and GELU are");
  }
  return out;
}

EmbedderPrompts read_prompts(const Json& config) {
  EmbedderPrompts out;
  if (config.has("prompts")) {
    const Json prompts = config["prompts"];
    if (!prompts.is_object()) fail<ModelError>(prompts.where(), ": expected an object");
    for (const auto& [name, text] : prompts.raw().items()) out.texts[name] = prompts[name].str();
  }
  out.otherwise = config.str("default_prompt_name", "");
  if (!out.otherwise.empty() && !out.texts.contains(out.otherwise)) {
    fail<ModelError>(config.where(), ": default_prompt_name \"", out.otherwise,
                     "\" is none of the prompts");
  }
  return out;
}

}  // namespace

SentenceSettings SentenceSettings::load(const std::filesystem::path& folder) {
  SentenceSettings out;
  std::error_code code;
  const auto has = [&](const char* file) { return std::filesystem::exists(folder / file, code); };
  if (has("config_sentence_transformers.json")) {
    out.prompts = read_prompts(Json::load(folder / "config_sentence_transformers.json"));
  }
  if (has("sentence_bert_config.json")) {
    const Json config = Json::load(folder / "sentence_bert_config.json");
    if (config.has("max_seq_length")) {
      out.max_tokens = config["max_seq_length"].integer();
      if (*out.max_tokens < 1) fail<ModelError>(config.where(), ": max_seq_length is below 1");
    }
    if (config.boolean("do_lower_case", false)) {
      fail<ModelError>(config.where(), ": do_lower_case beside the tokenizer is not supported");
    }
  }
  if (!has("modules.json")) return out;
  const Json modules = Json::load(folder / "modules.json");
  bool normalized = false;
  for (std::size_t i = 0; i < modules.size(); i++) {
    const std::string name = module_name(modules[i]["type"].str());
    if (name == "Transformer") continue;
    if (name == "Normalize") {  // vectors are unit rows always
      normalized = true;
      continue;
    }
    if (name != "Pooling" && name != "Dense") {
      fail<ModelError>(modules[i].where(), ": module ", name,
                       " is not supported; Transformer, Pooling, Dense and Normalize are");
    }
    const std::string path = module_folder(modules[i]);
    const Json config = Json::load(folder / path / "config.json");
    if (name == "Dense") {
      if (normalized)
        fail<ModelError>(modules[i].where(), ": Dense behind Normalize is not supported");
      out.dense.push_back(read_dense(path, config));
      continue;
    }
    out.pooling = read_pooling(config);
    if (!config.boolean("include_prompt", true) && !out.prompts.texts.empty()) {
      fail<ModelError>(config.where(), ": include_prompt false is not supported");
    }
  }
  return out;
}

}  // namespace chiasm
